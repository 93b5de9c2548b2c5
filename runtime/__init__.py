"""What generated modules import: the optimizer they are, the words of their tables, `kernel`.

Importing this loads torch and nothing else; triton and the C compiler are called for when a step
first runs.
"""

from . import scalar
from .facts import Facts, matches
from .kernel import kernel
from .optimizer import CompiledOptimizer
from .path import Choice, Coded, Finish, Hyper, Matrix, Path, Stream, Sweep
from .target import use_target

__all__ = [
    "Choice",
    "Coded",
    "CompiledOptimizer",
    "Facts",
    "Finish",
    "Hyper",
    "Matrix",
    "Path",
    "Stream",
    "Sweep",
    "kernel",
    "matches",
    "scalar",
    "use_target",
]
