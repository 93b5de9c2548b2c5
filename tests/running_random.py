"""Random specs in Triton's interpreter, in a process of its own.

    TRITON_INTERPRET=1 python tests/running_random.py 60       prints how many agreed

TRITON_INTERPRET must be set before triton is first imported; see test_random.py.
"""

from __future__ import annotations

import sys

from test_random import run_programs

if __name__ == "__main__":
    count = int(sys.argv[1])
    run_programs("triton", count)
    print(f"{count} agree")
