r"""Training residual networks, many small runs at once.

Branch scale, weight law, optimiser, normalisation and the learning rate of the branches are
parameters.

Notation
--------
==============================================  ==========================  =======================
symbol                                          name                        book label
==============================================  ==========================  =======================
:math:`h_{l+1}=ah_l+s_lF_l(h_l)`                ``Stack.logits``            ``eq-residual-block``
:math:`A,\ B`                                   ``input, readout``          ``eq-ld-network``
:math:`V_l,\ W_l,\ b_l`                         ``outer, inner, bias``      ``eq-ld-network``
:math:`-\ln\mathrm{softmax}(Bh_L)_y`            ``train_loss``              ``eq-ld-training-loss``
==============================================  ==========================  =======================

Importing this package needs the ``sim`` extra (PyTorch).
"""

from companion._optional import require

require("torch", extra="sim", purpose="train networks")

from companion.training.loop import STACK_ELEMENTS, train  # noqa: E402
from companion.training.settings import Outcome, Settings, Weights  # noqa: E402

__all__ = ["STACK_ELEMENTS", "Outcome", "Settings", "Weights", "train"]
