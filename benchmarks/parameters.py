"""Lists of parameters: names and shapes of models that people train, scaled to what memory holds.

parameters("gpt2", 1 << 30).numel    ->   124439808
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import isqrt, prod, sqrt

Named = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Parameters:
    """A model's parameters. `heads`: of its attention, for rules that ask (1 where it was scaled
    and they no longer divide its width)."""

    name: str
    shapes: tuple[Named, ...]
    heads: int = 1

    @property
    def numel(self) -> int:
        return sum(prod(shape) for _, shape in self.shapes)


def parameters(name: str, limit: int) -> Parameters:
    """The list called `name`, of at most `limit` numbers; ValueError if there is none."""
    if name == "flat":
        side = max(1, isqrt(limit))
        return Parameters(name, (("weight", (side, side)),))
    if name not in LISTS:
        raise ValueError(f"no list of parameters `{name}`; there are {', '.join((*LISTS, 'flat'))}")
    make, heads = LISTS[name]
    whole = Parameters(name, tuple(make()), heads)
    return whole if whole.numel <= limit else scaled(whole, limit)


def scaled(whole: Parameters, limit: int) -> Parameters:
    """The same tensors, every long axis shorter by one factor."""
    factor = sqrt(whole.numel / limit)
    while True:
        shapes = tuple((n, tuple(_shorter(axis, factor) for axis in s)) for n, s in whole.shapes)
        smaller = Parameters(whole.name, shapes)
        if smaller.numel <= limit or factor > 1e6:
            return smaller
        factor *= 1.1


def _shorter(axis: int, factor: float) -> int:
    """Multiples of 64 stay such while they can: alignment is part of what is measured. Kernels of
    convolutions stay what they are."""
    if axis < 16:
        return axis
    short = int(axis / factor)
    return short // 64 * 64 or max(1, short)


def gpt2() -> Iterator[Named]:
    """GPT-2 small with tied head: 148 tensors, 124.4 million numbers."""
    width = 768
    yield "transformer.wte.weight", (50257, width)
    yield "transformer.wpe.weight", (1024, width)
    for k in range(12):
        at = f"transformer.h.{k}"
        yield from _norm(f"{at}.ln_1", width)
        yield from _linear(f"{at}.attn.c_attn", width, 3 * width)
        yield from _linear(f"{at}.attn.c_proj", width, width)
        yield from _norm(f"{at}.ln_2", width)
        yield from _linear(f"{at}.mlp.c_fc", width, 4 * width)
        yield from _linear(f"{at}.mlp.c_proj", 4 * width, width)
    yield from _norm("transformer.ln_f", width)


def llama() -> Iterator[Named]:
    """Llama-3 8B: 291 tensors, 8.03 billion numbers."""
    width, hidden, words = 4096, 14336, 128256
    yield "model.embed_tokens.weight", (words, width)
    for k in range(32):
        at = f"model.layers.{k}"
        for name, rows in (("q", width), ("k", 1024), ("v", 1024), ("o", width)):
            yield f"{at}.self_attn.{name}_proj.weight", (rows, width)
        yield f"{at}.mlp.gate_proj.weight", (hidden, width)
        yield f"{at}.mlp.up_proj.weight", (hidden, width)
        yield f"{at}.mlp.down_proj.weight", (width, hidden)
        yield f"{at}.input_layernorm.weight", (width,)
        yield f"{at}.post_attention_layernorm.weight", (width,)
    yield "model.norm.weight", (width,)
    yield "lm_head.weight", (words, width)


def resnet50() -> Iterator[Named]:
    """ResNet-50: 161 tensors, 25.6 million numbers."""
    yield "conv1.weight", (64, 3, 7, 7)
    yield from _norm("bn1", 64)
    inner = 64
    for layer, (width, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=1):
        for k in range(blocks):
            at = f"layer{layer}.{k}"
            for name, shape in (
                ("1", (width, inner, 1, 1)),
                ("2", (width, width, 3, 3)),
                ("3", (4 * width, width, 1, 1)),
            ):
                yield f"{at}.conv{name}.weight", shape
                yield from _norm(f"{at}.bn{name}", shape[0])
            if k == 0:
                yield f"{at}.downsample.0.weight", (4 * width, inner, 1, 1)
                yield from _norm(f"{at}.downsample.1", 4 * width)
            inner = 4 * width
    yield from _linear("fc", 2048, 1000)


def small() -> Iterator[Named]:
    """10,000 tensors of 64 to 1,024 numbers: what a step costs beside its arithmetic."""
    for k in range(2500):
        yield f"layers.{k}.a.weight", (32, 32)
        yield f"layers.{k}.a.bias", (64,)
        yield f"layers.{k}.b.weight", (16, 16)
        yield f"layers.{k}.b.bias", (128,)


def matrices() -> Iterator[Named]:
    """The hidden matrices of GPT-2 small: 48 of them, for rules that take nothing else."""
    yield from hidden(Parameters("gpt2", tuple(gpt2()))).shapes


def hidden(whole: Parameters) -> Parameters:
    """The matrices alone, without tables of words and places, and without the head."""
    others = ("wte", "wpe", "embed", "head")
    found = [(n, s) for n, s in whole.shapes if len(s) == 2 and not any(o in n for o in others)]
    return Parameters(whole.name, tuple(found), whole.heads)


def _linear(name: str, columns: int, rows: int) -> Iterator[Named]:
    yield f"{name}.weight", (rows, columns)
    yield f"{name}.bias", (rows,)


def _norm(name: str, width: int) -> Iterator[Named]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


LISTS: dict[str, tuple[Callable[[], Iterator[Named]], int]] = {
    "gpt2": (gpt2, 12),
    "llama": (llama, 8),
    "resnet50": (resnet50, 1),
    "small": (small, 1),
    "matrices": (matrices, 12),
}
