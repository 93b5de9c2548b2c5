"""No text, however broken, gets anything but a model or a message: `pytest --fuzz 1000000`.

Texts are pieces of the sketches and specs with characters, words, lines and blocks cut, doubled,
moved and exchanged, and plain noise. The sequence is seeded: a failure names the number of its
text, and the text itself is in the message.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator

import pytest
from conftest import HERE

from stepc.dsl.diagnostics import CODES, SpecError
from stepc.dsl.load import load_source
from stepc.dsl.parser import grammar, parse, parse_codec, parse_composition
from stepc.dsl.printer import show
from stepc.dsl.source import Source

SEED = 20_240_601
PATHS = sorted((HERE / "sketches").glob("*.opt")) + sorted((HERE.parent / "specs").rglob("*.opt"))
TEXTS = [path.read_text(encoding="utf-8") for path in PATHS]
PIECES = [
    piece + "\n" for text in TEXTS for piece in re.split(r"\n(?=\S)", text) if 20 < len(piece) < 700
]
TOKENS = sorted({token for text in TEXTS for token in re.findall(r"\w+|[^\w\s]+|\n *", text)})
NOISE = "\t\r\n\0\"'#()[]{}:,.=+-*/@%^~<>!&|$?;\\ aT1_é−∞\u2028\U0001f600"


def mutate(text: str, rng: random.Random) -> str:
    """The text with one to four changes."""
    for _ in range(rng.randint(1, 4)):
        text = rng.choice(CHANGES)(text, rng)
    return text


def _cut(text: str, rng: random.Random) -> str:
    start = rng.randrange(len(text) + 1)
    return text[:start] + text[start + rng.choice((1, 1, 2, 8, 40)) :]


def _noise(text: str, rng: random.Random) -> str:
    start = rng.randrange(len(text) + 1)
    return text[:start] + rng.choice(NOISE) * rng.choice((1, 1, 1, 3, 120)) + text[start:]


def _word(text: str, rng: random.Random) -> str:
    """Another token for one, or one more."""
    spans = [match.span() for match in re.finditer(r"\w+|[^\w\s]+|\n *", text)]
    start, end = rng.choice(spans) if spans else (0, 0)
    return (
        text[:start] + rng.choice(TOKENS) + rng.choice(("", " ")) + text[rng.choice((start, end)) :]
    )


def _lines(text: str, rng: random.Random) -> str:
    """A line doubled, dropped, moved, or indented otherwise."""
    lines = text.split("\n")
    at, to = rng.randrange(len(lines)), rng.randrange(len(lines))
    match rng.randrange(4):
        case 0:
            lines.insert(to, lines[at])
        case 1:
            del lines[at]
        case 2:
            lines[at], lines[to] = lines[to], lines[at]
        case _:
            lines[at] = " " * rng.randrange(9) + lines[at].lstrip()
    return "\n".join(lines)


def _graft(text: str, rng: random.Random) -> str:
    """The start of this text and the end of another."""
    other = rng.choice(PIECES)
    return text[: rng.randrange(len(text) + 1)] + other[rng.randrange(len(other)) :]


def _random(text: str, rng: random.Random) -> str:
    if rng.random() < 0.5:
        return "".join(rng.choices(NOISE, k=rng.randrange(60)))
    return " ".join(rng.choices(TOKENS, k=rng.randrange(40)))


CHANGES: tuple[Callable[[str, random.Random], str], ...] = (
    *(_cut, _noise, _word, _word, _lines, _lines, _graft),
    _random,
)


def texts(count: int, seed: int) -> Iterator[tuple[int, str]]:
    rng = random.Random(seed)
    for number in range(count):
        yield number, mutate(rng.choice(PIECES), rng)


def tried(read: Callable[[Source], object], number: int, text: str) -> object:
    """What is read, or None where the text was refused as it should be."""
    try:
        return read(Source("fuzz.opt", text))
    except SpecError as refused:
        for diagnostic in refused.diagnostics:
            assert diagnostic.code in CODES, (number, text)
            assert diagnostic.span is not None, (number, text)
        return None
    except Exception as crash:
        raise AssertionError(f"text {number} crashes:\n{text!r}") from crash


def test_the_parser_reads_or_refuses_every_text(request: pytest.FixtureRequest) -> None:
    grammar()
    count = request.config.getoption("--fuzz")
    accepted = 0
    for number, text in texts(count, SEED):
        tree = tried(parse, number, text)
        if tree is not None:
            accepted += 1
            if accepted % 10 == 0:
                assert parse(Source("fuzz.opt", show(tree))) == tree, (number, text)  # type: ignore[arg-type]
    assert count // 100 < accepted < count // 2


def test_texts_are_understood_or_refused(request: pytest.FixtureRequest) -> None:
    """Other texts than above, half as many: those that parse go all the way to a model."""
    count = request.config.getoption("--fuzz") // 2
    understood = 0
    for number, text in texts(count, SEED + 1):
        understood += tried(load_source, number, text) is not None
    assert count // 1000 < understood < count // 2


def test_compositions_and_codecs_are_read_or_refused() -> None:
    rng = random.Random(SEED)
    for number in range(1000):
        text = mutate("AdamW(lr = 3) + Cautious + Lookahead(k = 5, alpha = 1 - 2)", rng)
        tried(parse_composition, number, text)
        tried(parse_codec, number, text)
