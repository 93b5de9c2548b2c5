"""`stepc bench`: the step of any optimizer beside torch's and other libraries', on this machine.

    $ stepc bench Lion "AdamW + Cautious" --against torch,optimi
    [4/6] Lion beside optimi Lion: round 7 of 15

Every contestant has its own process; they step in turn, and what counts are ratios of neighbours.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from .. import generated
from ..benchmarks.contestants import Contestant
from ..benchmarks.parameters import LISTS
from ..benchmarks.peers import LIBRARIES, rivals
from ..benchmarks.plot import draw
from ..benchmarks.process import Failed
from ..benchmarks.race import Setting, race, room
from ..benchmarks.record import Record, dumps, read, write
from ..benchmarks.report import (
    HEAD,
    PEER_HEAD,
    README,
    RESULTS,
    by_time,
    cells,
    circumstances,
    markdown,
    peer_cells,
    rewrite,
)  # fmt: skip
from .failure import Failure
from .terminal import paint, table

EXAMPLES = """examples:
  stepc bench                                   everything prebuilt, a few minutes
  stepc bench AdamW "AdamW + Cautious" my.opt   some, and your own
  stepc bench Lion --against all                every installed library that has it
  stepc bench AdamW8bit --against bitsandbytes,torchao --params flat
  stepc bench AdamW --params resnet50,small --dtype float32,bfloat16
  stepc bench --report benchmarks/results/cpu-gpt2-float32.json"""

DTYPES = ("float32", "bfloat16")
_MOST = {"cpu": 1 << 27, "cuda": 1 << 30}  # parameters, where memory would hold more


def configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("what", nargs="*", metavar="NAME|FILE|COMPOSITION", help="what races (all prebuilt)")
    add("--against", default="torch", metavar="LIBRARY,...",
        help=f"{', '.join(LIBRARIES)}, all, none (torch)")  # fmt: skip
    add(
        "--params", default="gpt2", metavar="LIST,...", help=f"{', '.join((*LISTS, 'flat'))} (gpt2)"
    )
    add("--dtype", default="float32", metavar="DTYPE,...", help=f"{', '.join(DTYPES)} (float32)")
    add("--device", default="cpu", choices=("cpu", "cuda"), help="(cpu)")
    add("--size", type=float, metavar="N", help="parameters at most (by memory)")
    add("--rounds", type=int, default=15, help="turns of each contestant at most (15)")
    add("--seconds", type=float, default=8.0, help="of turns for each pair at most (8)")
    add("--threads", type=int, default=0, help="of each contestant (torch's own choice)")
    add("--out", type=Path, default=RESULTS, metavar="FOLDER", help="(benchmarks/results)")
    add("--plot", action="store_true", help="draw the results as well; needs matplotlib")
    add("--report", type=Path, nargs="+", metavar="FILE", help="draw and print earlier results")
    add("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    if options.report:
        for path in options.report:
            report(path, read(path))
        return 0
    check(options)
    names = options.what or sorted(generated.__all__, key=str.lower)
    against: list[str] = [] if options.against == "none" else options.against.split(",")
    records: list[Record] = []
    try:
        heats = [(Contestant("stepc", "", name), rivals(name, against)) for name in names]
        for path, record in runs(options, heats):
            records.append(record)
            write(record, path)
            if not options.json:
                show(record)
            if options.plot:
                draw(record, path.with_suffix(""))
            print(f"written to {os.path.relpath(path)}", file=sys.stderr)
    except ValueError as error:
        raise Failure(str(error)) from None
    except Failed as failed:
        raise Failure(f"the reference did not run: {failed}") from None
    if options.json:
        print(dumps([asdict(record) for record in records]), end="")
    return 0


def check(options: argparse.Namespace) -> None:
    """Refuse what would fail after minutes."""
    for given, known in ((options.params, (*LISTS, "flat")), (options.dtype, DTYPES)):
        for name in given.split(","):
            if name not in known:
                raise Failure(f"there is no `{name}`; there are {', '.join(known)}")
    if options.rounds < 2:
        raise Failure("one round has no quartiles", "say --rounds 2 at least")


def runs(
    options: argparse.Namespace, heats: list[tuple[Contestant, list[Contestant]]]
) -> Iterator[tuple[Path, Record]]:
    """A record for every list of parameters and dtype, and where it belongs."""
    limit = int(options.size or min(_MOST[options.device], room(options.device)))
    for parameters in options.params.split(","):
        for dtype in options.dtype.split(","):
            setting = Setting(
                parameters, limit, dtype, options.device, options.threads, options.rounds,
                options.seconds,
            )  # fmt: skip
            stem = "-".join((options.device, parameters, dtype, *map(slug, options.what)))
            yield options.out / f"{stem}.json", race(heats, setting, Line(stem).say)
            clear()


def slug(name: str) -> str:
    """A rule as a part of a file's name."""
    return re.sub(r"[^A-Za-z0-9]+", "_", Path(name).stem if "/" in name else name).strip("_")


class Line:
    """One line on standard error that says what is going on; in a file, a line per contestant."""

    def __init__(self, title: str) -> None:
        self.title = title

    def say(self, text: str) -> None:
        """What goes on now."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{self.title} {text}")
        elif text.endswith("starts"):
            sys.stderr.write(f"{self.title} {text.removesuffix(': starts')}\n")
        sys.stderr.flush()


def clear() -> None:
    """Remove the line."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")


def show(record: Record) -> None:
    """The tables, for a terminal."""
    print(circumstances(record))
    print(paint("\nTime of a step over the reference's", "bold"))
    print(table(HEAD, [cells(record, row) for row in by_time(record.ours)]))
    if record.peers:
        print(paint("\nPeers, each beside ours", "bold"))
        print(table(PEER_HEAD, [peer_cells(row) for row in by_time(record.peers)]))
    for failure in record.failures:
        print(paint(f"did not run: {failure.name}: {failure.message}", "yellow"))


def report(path: Path, record: Record) -> None:
    """Print a record, draw it beside its file, and renew its part of the README."""
    show(record)
    pictures = draw(record, path.with_suffix(""))
    print(f"drawn: {', '.join(os.path.relpath(picture) for picture in pictures)}")
    if path.resolve().parent == RESULTS.resolve() and README.is_file():
        text = markdown(record, [f"results/{picture.name}" for picture in pictures])
        README.write_text(rewrite(README.read_text(encoding="utf-8"), path.name, text), "utf-8")
