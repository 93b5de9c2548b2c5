"""Groups of tensors that the C target takes through several sweeps at once: which, and that a
step's bits do not depend on them."""

from __future__ import annotations

import handwritten
import pytest
import torch
from contract import Optimizer, classes, make, parameters, same, takes_matrices_only, train, values

import stepc
from stepc.runtime import c as target
from stepc.runtime import groups
from stepc.runtime.path import Matrix, Sweep

Launch = tuple[str, int, int]  # name, tasks or tensors, elements
SHAPES = ((64, 80), (8, 4, 3, 3), (33,), (700, 131), (), (7, 13), (5,))
REPEATED = [
    cls
    for cls in classes()
    if any(sum(isinstance(step, Sweep) for step in path.steps) > 1 for path in cls.paths)
]


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[Launch]:
    """What the C target launches."""
    for cls in (*REPEATED, *handwritten.ALL):
        takes_matrices_only(cls)  # a step to find out, once
    found: list[Launch] = []
    real = target.Library.launch

    def watched(
        self: target.Library, name: str, count: int, tables: list[torch.Tensor], elements: int
    ) -> None:
        found.append((name, count, elements))
        real(self, name, count, tables, elements)

    monkeypatch.setattr(target.Library, "launch", watched)
    return found


def stepped(cls: Optimizer, full: int, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Parameters and states after three steps, with groups of this many bytes."""
    monkeypatch.setattr(groups, "_FULL", full)
    params = parameters(cls, shapes=SHAPES)
    optimizer = make(cls, params)
    train(optimizer, range(3))
    states = [x for state in optimizer.state.values() for x in state.values()]
    return values([*params, *(x for x in states if isinstance(x, torch.Tensor))])


@pytest.mark.parametrize("cls", REPEATED, ids=lambda cls: cls.__name__)
def test_bits_do_not_depend_on_groups(cls: Optimizer, monkeypatch: pytest.MonkeyPatch) -> None:
    together = stepped(cls, 1 << 40, monkeypatch)
    for full in (1, 1 << 14):
        assert same(stepped(cls, full, monkeypatch), together)


# Twelve bytes an element: (64, 80) is full alone, so is (700, 131) with the two before it; three
# are left. A task has 16,384 elements.
GROUPS = [(1, 1, 5120), (3, 8, 288 + 33 + 91700), (3, 3, 1 + 91 + 5)]


def test_each_group_goes_through_all_sweeps_before_the_next(
    launched: list[Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    stepped(handwritten.Lamb, 1 << 14, monkeypatch)
    expected: list[Launch] = []
    for tensors, tasks, elements in GROUPS:
        sweeps = [(name, tasks, elements) for name in ("lamb_1", "lamb_2")]
        expected += [sweeps[0], ("lamb_finish", tensors, 0), sweeps[1]]
    assert launched == expected * 3


@pytest.mark.parametrize("name", ["AdamW", "ClippedSGD"])
def test_one_sweep_is_one_launch(
    name: str, launched: list[Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """ClippedSGD has two, with a meeting of all tensors between them."""
    cls = getattr(handwritten, name)
    stepped(cls, 1, monkeypatch)
    assert len(launched) == 3 * len(cls.paths[0].steps)


def test_a_matrix_step_has_all_tensors(
    launched: list[Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    cls = next(cls for cls in REPEATED if cls.__name__ == "MuonMatrix")
    assert any(isinstance(step, Matrix) for step in cls.paths[0].steps)
    stepped(cls, 1, monkeypatch)
    once = list(launched)
    launched.clear()
    stepped(cls, 1 << 40, monkeypatch)
    assert once == launched


COLUMNS = """
optimizer ColumnNormSGD:
    "SGD along columns of length one."
    hyper lr = 0.1 in [0, inf)
    update:
        direction = grad / (norm(grad, per cols) + 1e-8)
"""


def test_one_sweep_over_columns_is_two_walks(
    launched: list[Launch], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it goes from group to group as well: what its first walk read is in the cache."""
    cls = stepc.compile(COLUMNS)
    assert [len(path.steps) for path in cls.paths] == [1]
    takes_matrices_only(cls)  # a step to find out, once
    launched.clear()
    together = stepped(cls, 1 << 40, monkeypatch)
    assert len(launched) == 3
    launched.clear()
    assert same(stepped(cls, 1, monkeypatch), together)
    assert len(launched) == 3 * len(SHAPES)
