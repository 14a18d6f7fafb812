"""The residual tangent kernel by the neural-tangents library; run in its own environment.

    python neural_tangents_peer.py values    kernels at angles, all layers trained
    python neural_tangents_peer.py times     CPU seconds of Gram matrices, first and later calls

Prints one line of JSON. The library counts input map and readout among the trained layers.
"""

import json
import os
import sys
import time
import warnings

# Read by the libraries when they are imported.
os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["JAX_ENABLE_X64"] = "1"
os.environ["JAX_PLATFORMS"] = "cpu"
warnings.filterwarnings("ignore", message="`FanIn` layers assume independent inputs")

import jax  # noqa: E402
import neural_tangents  # noqa: E402
import numpy as np  # noqa: E402
from neural_tangents import stax  # noqa: E402

CASES = [(1, 1.0), (10, 1.0), (10, 10**-0.5), (100, 0.1)]
ANGLES = [0.0, 0.01, 0.1, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.1]
SIZES = [(10, 500), (10, 2000), (100, 500)]
CALLS = 5


def kernel(depth, scale):
    """Kernel function of the network: two-matrix ReLU blocks, no biases, width-free scaling."""
    branch = stax.serial(stax.Dense(1, 2**0.5), stax.Relu(), stax.Dense(1, scale))
    block = stax.serial(stax.FanOut(2), stax.parallel(stax.Identity(), branch), stax.FanInSum())
    network = stax.serial(stax.Dense(1, 1.0), *[block] * depth, stax.Dense(1, 1.0))
    return network[2]


def values():
    """Both kernels between the first axis and every angle."""
    rows = np.array([[np.cos(a), np.sin(a)] for a in ANGLES]) * 2**0.5
    found = []
    for depth, scale in CASES:
        result = kernel(depth, scale)(rows[:1], rows, ("ntk", "nngp"))
        found.append(
            {
                "depth": depth,
                "scale": scale,
                "tangent": np.asarray(result.ntk)[0].tolist(),
                "outputs": np.asarray(result.nngp)[0].tolist(),
            }
        )
    versions = {"neural-tangents": neural_tangents.__version__, "jax": jax.__version__}
    return {"versions": versions, "angles": ANGLES, "cases": found}


def times():
    """CPU seconds of the compiled function: the first call, and the later ones."""
    return [timed(depth, samples) for depth, samples in SIZES]


def timed(depth, samples):
    x = np.random.default_rng(1).standard_normal((samples, 3))
    x *= 3**0.5 / np.linalg.norm(x, axis=1, keepdims=True)
    inner, seconds = kernel(depth, 1.0), []
    function = jax.jit(lambda rows: inner(rows, None, "ntk"))
    for _ in range(1 + CALLS):
        start = time.process_time()
        function(x).block_until_ready()
        seconds.append(time.process_time() - start)
    return {"depth": depth, "samples": samples, "first": seconds[0], "later": seconds[1:]}


if __name__ == "__main__":
    print(json.dumps({"values": values, "times": times}[sys.argv[1]]()))
