"""Handwritten digits from scikit-learn, 1,797 images of 8 x 8, and a small network to read them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import torch
from sklearn.datasets import load_digits  # pyright: ignore[reportMissingTypeStubs, reportUnknownVariableType]
from torch import nn

from .race import Batch, Task

BATCH = 128  # images


def digits(steps: int) -> Task:
    """The task: one image in five is held out."""
    data = cast(Any, load_digits())
    images = torch.tensor(data.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(data.target)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))
    test, train = order[: len(order) // 5], order[len(order) // 5 :]

    def batches() -> Iterator[Batch]:
        shuffle = torch.Generator().manual_seed(2)
        while True:
            chosen = train[torch.randint(len(train), (BATCH,), generator=shuffle)]
            yield images[chosen], labels[chosen]

    return Task("digits", steps, network, batches, (images[test], labels[test]))


def network() -> nn.Module:
    """Two convolutions and two dense layers: about 300,000 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(64 * 16, 256), nn.ReLU(), nn.Linear(256, 10),
    )  # fmt: skip
