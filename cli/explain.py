"""`stepc explain`: what a step costs, counted from the plan.

    $ stepc explain AdamW --device h200
    AdamW
    path    passes  launches  state bytes/param  bytes/param    floor
    always       1         1                  8           28  5.83 ms

Bytes are those of the plan, per parameter; what is one number per tensor or row is left out. The
floor is bytes over the device's memory bandwidth: no step can be faster, a good one is near.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass

from ..compiler.ir import Stream
from ..compiler.pipeline import plan as plan_of
from ..compiler.plan import MatrixStep, Plan, bytes_per_element
from ..compiler.schedule import traffic
from ..compiler.text import show_host
from ..dsl.codecs import CODECS
from ..dsl.load import load
from ..dsl.model import Const, Model
from ..dsl.suggest import nearest
from .failure import Failure
from .terminal import paint, table

EXAMPLES = """examples:
  stepc explain AdamW8bit
  stepc explain "AdamW + Cautious" --parameters 7e9 --device h100
  stepc explain my.opt --dtype bfloat16 --device 80      a memory system of 80 GB/s
  stepc explain LAMB --json"""

# Peak memory bandwidth in GB/s, from the makers' data sheets.
DEVICES = {
    "a100": 2039, "h100": 3350, "h200": 4800, "b200": 8000, "l40s": 864, "mi250x": 3277,
    "mi300x": 5300, "rtx3090": 936, "rtx4090": 1008, "rtx5090": 1792,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pass:
    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    bytes_per_parameter: float


@dataclass(frozen=True, slots=True)
class Coded:
    """A state kept as codes, and what of it reads back as NaN once an element is not finite."""

    state: str
    codec: str
    spoilt: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What one path costs. `matrix_steps` run through torch, and their traffic is not counted."""

    when: str
    passes: tuple[Pass, ...]
    codes: tuple[Coded, ...]
    launches: int
    matrix_steps: int
    bytes_per_parameter: float
    state_bytes_per_parameter: float
    floor_ms: float


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="NAME|FILE|COMPOSITION")
    parser.add_argument("--parameters", type=float, default=1e9, metavar="N", help="how many (1e9)")
    parser.add_argument(
        "--device",
        default="h200",
        metavar="NAME|GB/s",
        help=f"{', '.join(DEVICES)} or a number (h200)",
    )
    parser.add_argument(
        "--dtype", default="float32", choices=("float64", "float32", "bfloat16", "float16"),
        help="of parameters and gradients (float32)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace) -> int:
    bandwidth = speed(options.device)
    model = load(options.what)
    _, plans = plan_of(model)
    costs = [cost(plan, options.dtype, options.parameters / bandwidth * 1e3) for plan in plans]
    if options.json:
        facts = {
            "parameters": options.parameters,
            "dtype": options.dtype,
            "bytes_per_second": bandwidth,
        }
        print(
            json.dumps({"name": model.name, **facts, "paths": [asdict(c) for c in costs]}, indent=2)
        )
        return 0
    print(paint(model.name, "bold"))
    for line in order(model):
        print(line)
    print(table(HEAD, [row(c) for c in costs]))
    for c in costs:
        print(f"\n{paint(c.when, 'bold')}\n{passes_of(c)}")
        if c.codes:
            print(f"\n{codes_of(c)}")
        if c.matrix_steps:
            steps = "a matrix step" if c.matrix_steps == 1 else f"{c.matrix_steps} matrix steps"
            print(f"and {steps} through torch, not counted here")
    print(
        f"\nFloor: {options.parameters:.4g} parameters of {options.dtype} on {options.device}, "
        f"{bandwidth / 1e9:.4g} GB/s: bytes over bandwidth."
    )
    return 0


def order(model: Model) -> list[str]:
    """Who acts in which section, in the order of the step; nothing for a rule without modifiers."""
    if model.route:
        named = dict.fromkeys(line for b in model.route for line in order(b.model))
        return list(named)
    acting: dict[str, list[str]] = {}
    for section in model.sections:
        if section.title == "hyper":
            continue
        acting.setdefault(section.title, []).append(section.origin)
    acting = {title: list(dict.fromkeys(names)) for title, names in acting.items()}
    if len({name for names in acting.values() for name in names}) == 1:
        return []
    steps = (
        "param -= lr * direction" if title == "ending" else f"{title}: {', '.join(names)}"
        for title, names in acting.items()
    )
    return ["order   " + "  ->  ".join(steps)]


HEAD = ("path", "passes", "launches", "state bytes/param", "bytes/param", "floor")


def row(c: Cost) -> tuple[str, ...]:
    return (
        c.when, str(len(c.passes)), str(c.launches), f"{c.state_bytes_per_parameter:.4g}",
        f"{c.bytes_per_parameter:.4g}", f"{c.floor_ms:.3g} ms",
    )  # fmt: skip


def passes_of(c: Cost) -> str:
    """The passes of a path as a table."""
    rows = [
        (p.name, " ".join(p.reads), " ".join(p.writes), f"{p.bytes_per_parameter:.4g}")
        for p in c.passes
    ]
    return table(("pass", "reads", "writes", "bytes/param"), rows)


def codes_of(c: Cost) -> str:
    """The states of a path that are kept as codes, as a table."""
    head = ("state", "kept as", "a NaN or an infinity spoils")
    return table(head, [(code.state, code.codec, code.spoilt) for code in c.codes])


def coded(state: Stream) -> Coded:
    """What a state's storage line says."""
    line = state.codec
    assert line is not None
    given = {name: value.value for name, value in line.options if isinstance(value, Const)}
    known = CODECS[line.codec].options | given
    spoilt = "its row and its column" if known.get("rank1") else f"its block of {known['block']}"
    written = ", ".join(f"{name} = {str(value).lower()}" for name, value in given.items())
    return Coded(state.name, f"{line.codec}({written})" if written else line.codec, spoilt)


def cost(plan: Plan, dtype: str, ms_per_byte: float) -> Cost:
    """What one path costs; `ms_per_byte` is the time of one byte for every parameter."""
    passes = tuple(
        Pass(
            sweep.name,
            tuple(stream.name for stream in sweep.loads),
            tuple(store.stream.name for store in sweep.stores),
            traffic(sweep, dtype),
        )
        for sweep in plan.sweeps
    )
    total = sum(p.bytes_per_parameter for p in passes)
    matrices = sum(isinstance(step, MatrixStep) for step in plan.steps)
    states = [
        s for s in plan.streams if s.name not in ("param", "grad") and s not in plan.temporaries
    ]
    return Cost(
        condition(plan), passes, tuple(map(coded, plan.program.coded)),
        len(plan.steps) - matrices, matrices, total,
        sum(bytes_per_element(stream, dtype) for stream in states), total * ms_per_byte,
    )  # fmt: skip


def condition(plan: Plan) -> str:
    """When a tensor takes this path."""
    parts = [
        show_host(c) if taken else f"not ({show_host(c)})" for c, taken in plan.program.decisions
    ]
    return f"when {' and '.join(parts)}" if parts else "always"


def speed(device: str) -> float:
    """Bytes per second of a device by name, or of a number of GB/s."""
    if device in DEVICES:
        return DEVICES[device] * 1e9
    try:
        return float(device) * 1e9
    except ValueError:
        advice = nearest(device, DEVICES) or f"one of {', '.join(DEVICES)}, or GB/s as a number"
        raise Failure(f"there is no device `{device}`", advice) from None
