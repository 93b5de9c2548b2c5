"""Runs a module of stepc from a checkout that nobody installed, whatever its folder is called.

    python benchmarks/bare.py stepc.benchmarks.gpu --device cpu --tiny

The package is the checkout itself, so a link named `stepc` to it, in a folder that Python searches,
is all that an installation would be. Processes that the module starts find it there as well.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Run the module named first with the arguments after it; returns its exit code."""
    checkout = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory(prefix="stepc-bare-") as folder:
        (Path(folder) / "stepc").symlink_to(checkout, target_is_directory=True)
        searched = os.pathsep.join(filter(None, (folder, os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-m", *sys.argv[1:]]
        return subprocess.call(command, env=os.environ | {"PYTHONPATH": searched}, cwd=checkout)


if __name__ == "__main__":
    sys.exit(main())
