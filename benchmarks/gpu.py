"""`make bench-gpu`: everything about speed that only a GPU can show, in one run and one JSON file.

    python benchmarks/bare.py stepc.benchmarks.gpu                       needs torch and triton
    python benchmarks/bare.py stepc.benchmarks.gpu --device cpu --tiny   does it run at all?

Each section is a race of its own. Sections are begun until `--minutes` are over; what was left out
is said in the file. At the end, the suite's GPU tests.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from .contestants import REFERENCE, Contestant
from .parameters import matrices
from .process import Failed
from .race import Heat, Setting, race
from .record import Record, dumps
from .report import RESULTS, circumstances

TESTS = Path(__file__).resolve().parent.parent / "tests"
_BILLION = 10**9
_FOR_TESTS = 100.0  # seconds kept for the suite's GPU tests


def ours(rule: str, variant: str = "") -> Contestant:
    return Contestant("stepc", variant, rule)


@dataclass(frozen=True, slots=True)
class Section:
    """A race: which list, of how many parameters at most, of which dtype; `machine`: measure the
    copy rate as well."""

    title: str
    parameters: str
    limit: int
    dtype: str
    heats: Sequence[Heat]
    machine: bool = False


SECTIONS = (
    Section(
        "float32, a billion parameters in many tensors", "llama", _BILLION, "float32",
        [(ours(rule), ()) for rule in ("AdamW", "AdamW8bit", "LAMB", "Lion")], machine=True,
    ),
    Section(
        "float32, a billion parameters in one tensor", "flat", _BILLION, "float32",
        [(ours("AdamW"), ())], machine=True,
    ),
    Section(
        "bfloat16 parameters", "llama", _BILLION, "bfloat16",
        # states are float32 but in the second, where all is bfloat16, as in torch
        [(ours(r), ()) for r in ("AdamW", "AdamW @ bfloat16", "AdamW8bit", "LAMB", "Lion")],
    ),
    Section(
        "10,000 small tensors", "small", _BILLION, "float32",
        [(ours("AdamW"), ()), (ours("AdamW", "graph"), ()),
         (Contestant("torch", "graph", "AdamW"), ())],
    ),
    Section(
        "GPT-2, host time and CUDA graphs", "gpt2", _BILLION, "float32",
        [(ours("AdamW"), ()), (ours("AdamW", "graph"), ()),
         (Contestant("torch", "graph", "AdamW"), ()),
         (Contestant("torch", "foreach", "AdamW"), ())],
    ),
    Section(
        "Newton-Schulz, GPT-2's hidden matrices", "matrices", _BILLION, "float32",
        [(ours("MuonMatrix"), (Contestant("torch", "", "MuonMatrix"),))],
    ),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run; returns 0 if every section ran and every test passed."""
    parser = argparse.ArgumentParser("bench-gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small lists and few rounds")
    parser.add_argument("--only", default="", metavar="WORD", help="sections whose titles have it")
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--out", type=Path, default=RESULTS / "gpu.json")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    end = start + 60 * options.minutes - (0.0 if options.tiny else _FOR_TESTS)
    sections: dict[str, Any] = {}
    for section in (s for s in SECTIONS if options.only in s.title):
        if time.monotonic() > end:
            sections[section.title] = {"left_out": "no time was left"}
            continue
        try:
            record = race(section.heats, setting(section, options), say, section.machine)
        except Failed as failed:
            sections[section.title] = {"left_out": f"the reference did not run: {failed}"}
            continue
        sections[section.title] = asdict(record)
        print(f"\n{section.title}\n{circumstances(record)}\n{rows(record)}", flush=True)
    tests = run_tests(start + 60 * options.minutes - time.monotonic())
    found = {
        "device": options.device, "tiny": options.tiny, "seconds": time.monotonic() - start,
        "summary": {} if options.tiny else summary(sections), "tests": tests, "sections": sections,
    }  # fmt: skip
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(dumps(found), encoding="utf-8")
    print(f"\n{dumps(found['summary'])}tests: {tests['summary']}\nwritten to {options.out}")
    return 0 if tests["passed"] and not any("left_out" in s for s in sections.values()) else 1


def setting(section: Section, options: argparse.Namespace) -> Setting:
    """The section's, or a tiny one."""
    if options.tiny:
        return Setting(section.parameters, 1 << 16, section.dtype, options.device, 1, 3, 1.0)
    return Setting(section.parameters, section.limit, section.dtype, options.device, 0, 15, 2.0)


def say(text: str) -> None:
    if text.endswith("starts"):
        print(text.removesuffix(": starts"), file=sys.stderr, flush=True)


def rows(record: Record) -> str:
    """One line per contestant."""
    lines = [
        f"  {row.name:28} {row.ratio.median:6.3f} x {REFERENCE}  {row.step_s * 1e3:9.3f} ms"
        + (f"  {(record.rate(row) or 0) / 1e9:7.0f} GB/s")
        + (f"  host {row.host_s * 1e6:8.0f} us" if row.host_s is not None else "")
        for row in record.rows
    ]
    lines += [f"  did not run: {f.name}: {f.message}" for f in record.failures]
    return "\n".join(lines)


def summary(sections: dict[str, Any]) -> dict[str, float]:
    """The figures that goals are set for."""
    found: dict[str, float] = {}
    for section, name in zip(SECTIONS, ("many tensors", "one tensor"), strict=False):
        made = sections.get(section.title, {})
        copy = next((r for r in made.get("machine", ()) if r["rule"] == "copy"), None)
        for row in made.get("rows", ()):
            if row["library"] == "stepc" and row["rule"] == "AdamW":
                found[f"AdamW over torch fused, {name}"] = row["ratio"]["median"]
                if copy:  # by ratios to the reference, which both were raced beside
                    own, plain = (x["moved"] / x["ratio"]["median"] for x in (row, copy))
                    found[f"AdamW of copy, {name}"] = own / plain
    for row in sections.get(SECTIONS[-1].title, {}).get("rows", ()):
        if row["rule"] == "MuonMatrix":
            found[f"{row['name']}, Tflop/s of Newton-Schulz"] = (
                newton_schulz() / row["step_s"] / 1e12
            )
    return found


def newton_schulz() -> float:
    """Operations of five dense steps for GPT-2's hidden matrices: 20 m^2 n + 10 m^3 each."""
    sides = [(min(shape), max(shape)) for _, shape in matrices()]
    return float(sum(20 * m * m * n + 10 * m**3 for m, n in sides))


def run_tests(seconds: float) -> dict[str, Any]:
    """The suite's GPU tests: tests/test_gpu*.py, which need neither lark nor sympy."""
    files = sorted(map(str, TESTS.glob("test_gpu*.py")))
    if not files or find_spec("pytest") is None:
        return {"passed": False, "summary": "there are none" if not files else "pytest is not here"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *files]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=max(30.0, seconds), cwd=TESTS.parent
        )
    except subprocess.TimeoutExpired:
        return {"passed": False, "summary": f"not done within {max(30.0, seconds):.0f} s"}
    lines = done.stdout.strip().splitlines()
    return {"passed": done.returncode == 0, "summary": lines[-1] if lines else done.stderr[-300:]}


if __name__ == "__main__":
    sys.exit(main())
