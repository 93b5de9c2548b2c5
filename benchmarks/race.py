"""Workers told to step in turn, and the ratios of their times pair by pair.

One of ours, one of its rivals and the reference (torch's fused AdamW) are alive together. In every
round each takes a turn, in the opposite order in every second round, so whatever slows the machine
down slows all of them; a ratio is taken inside its round. The reference also races against a
second process like itself, which shows what ratios mean nothing.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from .contestants import COPY, IN_PLACE, REFERENCE, Contestant
from .parameters import parameters
from .process import Caches, Failed, Process
from .record import Failure, Record, Row, device_name, spread, today, versions

Say = Callable[[str], None]
Heat = tuple[Contestant, Sequence[Contestant]]  # one of ours (or a peer alone), and its rivals

_FEWEST = 3  # rounds, however slow
# Bytes per parameter of the three together: float32 AdamW needs 16, a peer's temporaries as much.
_BYTES = 72


@dataclass(frozen=True, slots=True)
class Setting:
    """What every contestant is told. `limit`: parameters at most. `rounds` are taken, but no more
    than fit into `seconds`."""

    parameters: str = "gpt2"
    limit: int = 1 << 27
    dtype: str = "float32"
    device: str = "cpu"
    threads: int = 0
    rounds: int = 15
    seconds: float = 8.0


class Entrant:
    """A contestant in its process, and the times of its turns."""

    def __init__(self, contestant: Contestant, setting: Setting, caches: Caches) -> None:
        self.contestant = contestant
        self.name = str(contestant)
        self.times: list[float] = []
        self.process = Process(caches)
        try:
            c = contestant
            self.started = self.process.ask(
                "start",
                {
                    "contestant": [c.library, c.variant, c.rule],
                    "parameters": setting.parameters,
                    "limit": setting.limit,
                    "dtype": setting.dtype,
                    "device": setting.device,
                    "threads": setting.threads,
                },
            )
        except Failed:
            self.process.close()
            raise

    def turn(self) -> float:
        """Seconds of a step, now."""
        self.times.append(self.process.ask("turn")["s"])
        return self.times[-1]

    def row(self, ratios: Sequence[float]) -> Row:
        """All that is known of it."""
        c, first = self.contestant, self.started
        facts = self.process.ask("facts")
        return Row(
            self.name, c.library, c.variant, c.rule, spread(ratios), statistics.median(self.times),
            first_s=first["first_s"], cold_s=first["cold_s"], **facts,
        )  # fmt: skip


def race(heats: Sequence[Heat], setting: Setting, say: Say, machine: bool = True) -> Record:
    """Run all heats. `machine`: measure its own rates too. Raises Failed if the reference fails."""
    listed = parameters(setting.parameters, setting.limit)
    rows: list[Row] = []
    failures: list[Failure] = []
    rates: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="stepc-bench-") as folder:
        caches = Caches(Path(folder))
        with _entrant(REFERENCE, setting, caches) as reference:
            alone = [(REFERENCE, ()), *([(COPY, ()), (IN_PLACE, ())] if machine else [])]
            for number, (c, rivals) in enumerate([*alone, *heats]):
                title = f"[{number + 1}/{len(alone) + len(heats)}] {c}"
                found = rates if c.library == "machine" else rows
                try:
                    found.extend(_heat(c, rivals, reference, setting, caches, failures, say, title))
                except Failed as failure:
                    failures.append(Failure(str(c), str(failure)))
            own = reference.row([1.0, 1.0])
        rows = _with_warm_steps(rows, setting, caches)
    return Record(
        today(), device_name(setting.device), setting.threads or torch.get_num_threads(),
        versions(), setting.parameters, len(listed.shapes), listed.numel, setting.dtype,
        own, tuple(rates), tuple(rows), tuple(failures),
    )  # fmt: skip


@contextmanager
def _entrant(c: Contestant, setting: Setting, caches: Caches) -> Generator[Entrant, None, None]:
    entrant = Entrant(c, setting, caches)
    try:
        yield entrant
    finally:
        entrant.process.close()


def _heat(
    c: Contestant,
    rivals: Sequence[Contestant],
    reference: Entrant,
    setting: Setting,
    caches: Caches,
    failures: list[Failure],
    say: Say,
    title: str,
) -> list[Row]:
    """One contestant beside the reference and each of its rivals."""
    rows: list[Row] = []
    ratios: list[float] = []
    say(f"{title}: starts")
    with _entrant(c, setting, caches) as ours:
        for rival in rivals:
            if rival == REFERENCE:  # it is there already
                continue
            say(f"{title} beside {rival}: starts")
            try:
                with _entrant(rival, setting, caches) as theirs:
                    found = _rounds(
                        [ours, theirs, reference], setting, say, f"{title} beside {rival}"
                    )
                    ratios += found[0]
                    row = theirs.row(found[1])
                    against = [a / b for a, b in zip(found[0], found[1], strict=True)]
                    rows.append(replace(row, ours=str(c), ours_ratio=spread(against)))
            except Failed as failure:
                failures.append(Failure(str(rival), str(failure)))
        if not ratios:
            ratios += _rounds([ours, reference], setting, say, title)[0]
        rows.insert(0, ours.row(ratios))
    return rows


def _rounds(
    entrants: Sequence[Entrant], setting: Setting, say: Say, title: str
) -> list[list[float]]:
    """For every entrant but the last, its times over the last one's, round by round."""
    once = sum(max(entrant.started["step_s"], 0.03) for entrant in entrants)
    rounds = min(setting.rounds, max(_FEWEST, int(setting.seconds / once)))
    ratios: list[list[float]] = [[] for _ in entrants[:-1]]
    for number in range(rounds):
        say(f"{title}: round {number + 1} of {rounds}")
        order = entrants if number % 2 else list(reversed(entrants))
        times = {id(entrant): entrant.turn() for entrant in order}
        for entrant, found in zip(entrants, ratios, strict=False):
            found.append(times[id(entrant)] / times[id(entrants[-1])])
    return ratios


def _with_warm_steps(rows: list[Row], setting: Setting, caches: Caches) -> list[Row]:
    """The first step of each of ours once more, in a new process that finds everything compiled."""
    process = Process(caches)
    made: list[Row] = []
    try:
        for row in rows:
            if row.library == "stepc" and row.cold_s is not None:
                told = {"rule": row.rule, "dtype": setting.dtype, "device": setting.device}
                row = replace(row, warm_s=process.ask("first", told)["s"])
            made.append(row)
    finally:
        process.close()
    return made


def room(device: str) -> int:
    """Parameters that three contestants at a time have memory for."""
    if device.startswith("cuda"):
        memory = torch.cuda.mem_get_info()[0] // 2
    else:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return memory // _BYTES
