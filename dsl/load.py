"""The way in: a path, a text or a composition, to a checked model.

    load("specs/adamw.opt")   load("AdamW + Cautious + Lookahead(k = 5)")   load(text)

`quantize` and `rounding` say how states and the parameter are stored, as the members of that name
would; they come last and so win. Everything wrong is raised at once, as a `SpecError`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from . import syntax as s
from .codecs import ROUNDINGS
from .compose import Composed, Composer, Owned
from .diagnostics import Diagnostic, Report, SpecError
from .files import read_source
from .library import Library, Scope
from .model import Model
from .parser import parse_codec, parse_composition
from .route import understand_any
from .source import Source


def load(
    what: str | Path,
    *,
    quantize: str | Mapping[str, str] | None = None,
    rounding: str | None = None,
) -> Model:
    """The model of `what`: a path; a text with a newline, whose last optimizer is meant; or a
    composition. `quantize` is one codec for all states, or a codec for each state named."""
    if isinstance(what, str) and "\n" in what:
        source = Source("<text>", what)
    elif isinstance(what, Path) or what.endswith(".opt") or "/" in what:
        source = read_source(Path(what))
    else:
        return _checked(lambda composer: _composition(what, composer), quantize, rounding)
    return load_source(source, quantize=quantize, rounding=rounding)


def load_source(
    source: Source,
    *,
    quantize: str | Mapping[str, str] | None = None,
    rounding: str | None = None,
) -> Model:
    """The model of the last optimizer of a text."""
    return _checked(
        lambda composer: _last(composer.library.add(source), composer), quantize, rounding
    )


def _checked(
    compose: Callable[[Composer], Composed | None],
    quantize: str | Mapping[str, str] | None,
    rounding: str | None,
) -> Model:
    report = Report()
    composer = Composer(Library(report), report)
    try:
        composed = compose(composer)
        if composed is None:
            raise SpecError(*report.errors)
        composed.members += _overrides(quantize, rounding)
        model = understand_any(composed, composer, {}, frozenset())
    except RecursionError:
        raise SpecError(
            Diagnostic("E416", "this spec is nested too deeply", None, "use locals in between")
        ) from None
    report.check()
    return replace(model, files=_files(composer.library), warnings=tuple(report.warnings))


def _composition(text: str, composer: Composer) -> Composed | None:
    composition = parse_composition(Source("<composition>", text))
    composed = composer.composition(composition)
    if composed is not None and len(composition.terms) > 1:
        composed.name = "".join(term.name for term in composition.terms)
    return composed


def _last(scope: Scope, composer: Composer) -> Composed | None:
    optimizers = [d for d in scope.file.declarations if isinstance(d, s.Optimizer)]
    if not optimizers:
        composer.report.error(
            "E425",
            "there is no optimizer in this text",
            scope.file.span,
            "add `optimizer NAME:`, or compose what is here: `AdamW + ...`",
        )
        return None
    return composer.optimizer(optimizers[-1])


def _overrides(quantize: object, rounding: object) -> list[Owned]:
    found: list[Owned] = []
    for state, text in _codecs(quantize).items():
        codec = parse_codec(Source("<quantize>", text))
        found.append(Owned(s.Quantize(state, codec, span=codec.span), "<quantize>"))
    if rounding is not None:
        if not isinstance(rounding, str):
            names = ", ".join(ROUNDINGS)
            raise TypeError(f"rounding = {rounding!r}; it is a text, one of {names}")
        how = parse_codec(Source("<rounding>", rounding))
        found.append(Owned(s.Round("param", how, span=how.span), "<rounding>"))
    return found


def _codecs(quantize: Any) -> dict[str, str]:
    """The codec of each state that was named, or of all."""
    if quantize is None:
        return {}
    found: dict[Any, Any] = dict(quantize) if hasattr(quantize, "items") else {"all": quantize}
    if not all(isinstance(text, str) for text in (*found, *found.values())):
        raise TypeError(
            f'quantize = {quantize!r}; it is a codec ("dynamic8"), or one for each state '
            '({"m": "dynamic8(block = 256)"})'
        )
    return found


def _files(library: Library) -> tuple[str, ...]:
    """The texts that were read, in a fixed order."""
    texts = {(Path(source.name).name, source.text) for source in library.scopes}
    return tuple(text for _, text in sorted(texts))
