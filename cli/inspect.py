"""`stepc inspect`: any stage of a compilation, from the spec to machine code.

Without --stage it goes through all of them that are the same on every machine, and ends with what
the machine code of each kernel says about its speed. No GPU is needed.
"""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec

from ..dsl.suggest import nearest
from .failure import Failure
from .highlight import highlight
from .listing import NAMES, stages
from .machine import MACHINE, TARGETS, Examined, subjects
from .terminal import paint, table

EXAMPLES = f"""stages: {", ".join((*NAMES, *MACHINE))}

examples:
  stepc inspect AdamW8bit                               everything
  stepc inspect "AdamW + Cautious" --stage plan         passes over memory
  stepc inspect my.opt --stage triton                   the kernel
  stepc inspect Lion --stage sass --target sm_90        machine code, and a report
  stepc inspect LAMB --stage amdgcn --target gfx942"""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="NAME|FILE|COMPOSITION")
    parser.add_argument("--stage", metavar="STAGE", help="one of those below; all when left out")
    parser.add_argument(
        "--target", default="sm_90", choices=TARGETS, help="for machine code (sm_90)"
    )
    parser.add_argument(
        "--dtype", default="float32", choices=("float64", "float32", "bfloat16", "float16"),
        help="of parameters and gradients, for machine code (float32)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print JSON: the stage's text")


def run(options: argparse.Namespace) -> int:
    stage: str | None = options.stage
    if stage is not None and stage not in (*NAMES, *MACHINE):
        known = (*NAMES, *MACHINE)
        raise Failure(f"there is no stage `{stage}`", nearest(stage, known) or ", ".join(known))
    if stage in MACHINE:
        made = examined(options)
        texts = {f"{stage} of {kernel.name}": text_of(kernel, stage) for kernel in made}
        show_machine(texts, made, options.json)
        return 0
    listed = stages(options.what)
    if options.json:
        chosen = [stage] if stage else list(NAMES)
        print(json.dumps({name: listed[name].text for name in chosen}, indent=2))
        return 0
    if stage is not None:
        if listed[stage].gain:
            print(paint(f"# {stage}: {listed[stage].gain}", "dim"))
        print(highlight(listed[stage].text.rstrip(), listed[stage].language))
        return 0
    for name in NAMES[:-1]:  # the module repeats the targets
        said = f"  {listed[name].gain}" if listed[name].gain else ""
        print(heading(name) + (said if listed[name].changed else "  (unchanged)"))
        if listed[name].changed:
            print("\n" + highlight(listed[name].text.rstrip(), listed[name].language) + "\n")
    if find_spec("triton"):
        show_machine({}, examined(options), False)
    return 0


def examined(options: argparse.Namespace) -> list[Examined]:
    """Every kernel, compiled."""
    found = subjects(options.what)
    return [kernel.examine(options.target, options.dtype) for kernel in found]


def heading(name: str) -> str:
    return paint(f"--- {name} ", "bold")


def text_of(kernel: Examined, stage: str) -> str:
    """A stage of a kernel; not every target has every stage."""
    texts = kernel.stages
    if stage not in texts:
        raise Failure(f"{kernel.target} has no stage `{stage}`", f"it has {', '.join(texts)}")
    return texts[stage]


def show_machine(texts: dict[str, str], made: list[Examined], as_json: bool) -> None:
    """Listings, then the report of every kernel."""
    if as_json:
        print(json.dumps({"listings": texts, "report": [k.record for k in made]}, indent=2))
        return
    for title, text in texts.items():
        print(f"{heading(title)}\n\n{highlight(text, 'assembly')}")
    if not made:
        print("no Triton kernels: this optimizer's steps run through torch")
        return
    print(heading(f"machine code, {made[0].target}") + "\n")
    print(table(tuple(made[0].record), [tuple(map(str, k.record.values())) for k in made]))
