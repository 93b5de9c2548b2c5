"""The next character of Python's own library: text on every machine that can run this, and a small
transformer to read it."""

from __future__ import annotations

import sysconfig
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from .race import Batch, Task

MODULES = ("argparse", "ast", "dataclasses", "datetime", "inspect", "pathlib", "textwrap", "typing")
CONTEXT = 64  # characters
BATCH = 32  # of so many


def characters(steps: int) -> Task:
    """The task: the last tenth of the text is held out."""
    text = library_text()
    alphabet = {c: k for k, c in enumerate(sorted(set(text)))}
    codes = torch.tensor([alphabet[c] for c in text])
    border = len(codes) * 9 // 10
    starts = torch.arange(border, len(codes) - CONTEXT - 1, CONTEXT)[:256]

    def windows(starts: torch.Tensor) -> Batch:
        places = starts[:, None] + torch.arange(CONTEXT)
        return codes[places], codes[places + 1]

    def batches() -> Iterator[Batch]:
        shuffle = torch.Generator().manual_seed(3)
        while True:
            yield windows(torch.randint(border - CONTEXT - 1, (BATCH,), generator=shuffle))

    return Task("characters", steps, lambda: Transformer(len(alphabet)), batches, windows(starts))


def library_text() -> str:
    """Modules of the standard library, without what is not ASCII, to keep the alphabet small."""
    folder = Path(sysconfig.get_paths()["stdlib"])
    files = [path for name in MODULES if (path := folder / f"{name}.py").is_file()]
    text = "".join(path.read_text(encoding="utf-8") for path in files)
    return "".join(c for c in text if c == "\n" or " " <= c <= "~")


class Transformer(nn.Module):
    """Two layers, width 128, four heads, causal: about 430,000 parameters."""

    def __init__(self, letters: int, width: int = 128, heads: int = 4, layers: int = 2):
        super().__init__()
        self.letters = nn.Embedding(letters, width)
        self.places = nn.Parameter(0.02 * torch.randn(CONTEXT, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, letters)

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        x = self.letters(codes) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


class Block(nn.Module):
    """Attention, then a dense layer, each added to what came in."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.dense = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        parts = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, -1)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind(0)
        seen = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.dense(self.norm2(x))
