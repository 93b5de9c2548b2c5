"""The command line: one file a command, imported only when it is asked for.

    $ stepc check my.opt
    my.opt: 1 optimizer, no errors

Exit codes: 0 all is well, 1 the spec or the input is wrong, 2 the command line is wrong. Every
command's module has `EXAMPLES`, `configure(parser)` and `run(options) -> int`; what it prints for
programs (`--json`) goes to stdout, and messages go to stderr.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Protocol, cast

from .. import __version__
from ..dsl.diagnostics import SpecError
from ..dsl.suggest import nearest
from .failure import Failure, as_json

COMMANDS = {
    "list": "the optimizers, modifiers and definitions that come with stepc",
    "check": "read specs and show every mistake in them",
    "compile": "turn a spec into one Python file with a torch optimizer in it",
    "inspect": "see any stage of a compilation, from the spec to machine code",
    "explain": "passes over memory, bytes, and the least time a step can take",
    "modifiers": "what each modifier adds to each optimizer, as docs/modifiers.md has it",
    "precision": "train a small transformer in every storage, and compare",
    "roles": "which parameter of a model gets which role, and by which rule",
    "verify": "test a spec: every target against the equations, on random and nasty inputs",
    "gallery": "pages of equations, costs and trajectories, as docs/gallery has them",
    "new": "start a spec of your own from one that works",
    "bench": "time any step beside torch's and other libraries', on real lists of parameters",
    "demo": "compile a new optimizer and race it against torch's AdamW on real data",
}

EXAMPLES = """examples:
  stepc new my.opt --from AdamW          a starting point, commented
  stepc check my.opt                     every mistake, with advice
  stepc compile my.opt -o my_opt.py      a module to import
  stepc inspect "AdamW + Cautious"       its spec, its plan, its kernel
  stepc COMMAND --help                   more about one command"""


# What some commands need beyond the rest, and what brings it.
_EXTRAS = {
    "triton": "'stepc[triton]'",
    "matplotlib": "'stepc[demo]'",
    "sklearn": "'stepc[demo]'",
    "safetensors": "safetensors",
}


class Command(Protocol):
    """What a command's module offers."""

    EXAMPLES: str

    def configure(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, options: argparse.Namespace) -> int: ...


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Mistakes become messages, our own bugs a request
    for a report."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return run(given)
    except (SpecError, Failure) as error:
        if "--json" in given:
            print(as_json(error))
        else:
            print(error, file=sys.stderr)
    except BrokenPipeError:  # `stepc list | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        print(f"error: {error.filename or 'system'}: {error.strerror or error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
    except Exception as error:
        if os.environ.get("STEPC_DEBUG") == "1":
            traceback.print_exc()
        else:
            print(bug(error), file=sys.stderr)
    return 1


def run(given: list[str]) -> int:
    """Find the command among the words, and let it run."""
    chosen = next((word for word in given if not word.startswith("-")), "")
    if chosen and chosen not in COMMANDS:
        advice = nearest(chosen, COMMANDS) or "`stepc --help` lists the commands"
        print(f"stepc: there is no command `{chosen}`; {advice}", file=sys.stderr)
        return 2
    try:
        command = load(chosen) if chosen else None
        whole = parser(chosen, command)
        options = whole.parse_args(given)
        if command is None:
            whole.print_help()
            return 0
        return command.run(options)
    except ModuleNotFoundError as error:
        name = (error.name or "").partition(".")[0]
        if name not in _EXTRAS:
            raise
        raise Failure(f"{name} is not installed", f"pip install {_EXTRAS[name]}") from None


def load(name: str) -> Command:
    """The command's module: the one late import, so that `check` does not wait for torch."""
    return cast(Command, import_module(f".{name}", __package__))


def parser(chosen: str, command: Command | None) -> argparse.ArgumentParser:
    """All commands by name; only the chosen one with its arguments."""
    raw = argparse.RawDescriptionHelpFormatter
    whole = argparse.ArgumentParser(
        "stepc",
        description="A compiler for optimizer steps: ten lines in, a fused torch optimizer out.",
        epilog=EXAMPLES,
        formatter_class=raw,
    )
    whole.add_argument("--version", action="version", version=f"stepc {__version__}")
    commands = whole.add_subparsers(metavar="COMMAND", title="commands")
    for name, summary in COMMANDS.items():
        epilog = command.EXAMPLES if command and name == chosen else ""
        each = commands.add_parser(
            name, help=summary, description=summary, epilog=epilog, formatter_class=raw
        )
        if command and name == chosen:
            command.configure(each)
    return whole


def bug(error: Exception) -> str:
    """What to say when the fault is ours."""
    first = (str(error).splitlines() or [""])[0][:200]
    return (
        f"This is a bug in stepc {__version__}, not in your spec: "
        f"{type(error).__name__}: {first}\n"
        "Please report it with the spec and the command you ran. "
        "STEPC_DEBUG=1 shows where it happened."
    )
