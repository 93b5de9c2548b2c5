"""Corners of the language in Triton's interpreter: a process of its own, for it is told by the
environment. Prints nothing; fails at the first disagreement.

TRITON_INTERPRET=1 python tests/running_corners.py "per group" "per group and per global"
"""

from __future__ import annotations

import sys
from dataclasses import replace

from side_by_side import agree
from test_compiler_corners import CORNERS, tensors_for


def main(corners: list[str]) -> None:
    for corner in corners:
        givens = [replace(g, group=k % 2) for k, g in enumerate(tensors_for(CORNERS[corner]))]
        agree(CORNERS[corner], givens, "triton", groups=({}, {}), steps=3)


if __name__ == "__main__":
    main(sys.argv[1:])
