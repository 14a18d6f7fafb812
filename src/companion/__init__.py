"""How strongly should a residual branch speak? Theory, simulation and evidence.

The modules are named after mechanisms (``activations``, ``architecture``, ``loggaussian``,
``simulate``, ...); the evidence in ``papers`` is ordered by paper. Importing this package loads
NumPy only: everything heavier is imported by the module that needs it.
"""

__version__ = "0.1.0"

#: Public address of the repository; every link in the book and the notebooks derives from it.
REPOSITORY_URL = "https://github.com/residual-scaling/residual-scaling"

__all__ = ["REPOSITORY_URL", "__version__"]
