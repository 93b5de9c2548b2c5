"""What a step costs on the host, counted, not timed: questions, uploads, launches and compilations.

Kernels are stubs here that record how Triton would specialise them. `benchmarks/host_cost.py`
measures the time.
"""

from __future__ import annotations

import copy
import math
import warnings
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from contract import classes, make, same, same_states, set_gradients, values
from torch.nn import Parameter

import stepc.generated as generated
from stepc.runtime import CompiledOptimizer, cohorts, scene, use_target, watch
from stepc.runtime.kernel import Kernel
from stepc.runtime.scene import Scene
from stepc.runtime.tables import Tables

PREBUILT = [cls for cls in classes() if cls.__module__.startswith("stepc.generated")]
every_class = pytest.mark.parametrize("cls", PREBUILT, ids=lambda cls: cls.__name__)


class Counted:
    """What happened since the last `take`."""

    def __init__(self) -> None:
        self.events: Counter[str] = Counter()

    def take(self) -> dict[str, int]:
        events, self.events = self.events, Counter()
        return dict(events)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    """Counts steps decided anew, questions to `host`, and tables sent."""
    count = Counted()

    def watch(owner: object, name: str, event: str) -> None:
        real = getattr(owner, name)

        def counting(*args: Any, **options: Any) -> Any:
            count.events[event] += 1
            return real(*args, **options)

        monkeypatch.setattr(owner, name, counting)

    watch(Scene, "__init__", "decided")
    watch(cohorts, "_answer", "asked")
    watch(Tables, "send", "sent")
    return count


def step(optimizer: Any) -> None:
    """One step, with a loss for a rule that reads it."""
    optimizer.step(**({"loss": 1.0} if optimizer.reads_loss else {}))


def train(optimizer: Any, steps: Iterable[int]) -> None:
    """Steps with the gradients that belong to their numbers."""
    for number in steps:
        set_gradients([p for group in optimizer.param_groups for p in group["params"]], number)
        step(optimizer)


def small(count: int = 40) -> list[Parameter]:
    random = torch.Generator().manual_seed(0)
    return [Parameter(torch.randn(4, 5, generator=random)) for _ in range(count)]


def warm(cls: type[CompiledOptimizer], params: list[Parameter], **options: Any) -> Any:
    optimizer = make(cls, params, **options)
    train(optimizer, range(4))
    return optimizer


# ---------------------------------------------------------------- what a repeated step does


def test_gradients_that_move_cost_one_upload(counted: Counted) -> None:
    optimizer = warm(generated.SGD, small())
    counted.take()
    train(optimizer, [4])
    assert counted.take() == {"asked": 1, "sent": 1}


def test_where_nothing_is_new_nothing_is_sent(counted: Counted) -> None:
    optimizer = warm(generated.SGD, small())
    counted.take()
    optimizer.step()
    optimizer.step()
    assert counted.take() == {"asked": 2}


def test_new_numbers_cost_one_upload(counted: Counted) -> None:
    params = small()
    optimizer = warm(generated.SGD, params)
    counted.take()
    optimizer.param_groups[0]["lr"] = 0.5
    optimizer.step()
    assert counted.take() == {"asked": 1, "sent": 1}
    adamw = warm(generated.AdamW, params)
    counted.take()
    adamw.step()
    assert counted.take() == {"asked": 1, "sent": 1}


@every_class
def test_ten_thousand_equal_tensors_are_one_question(
    cls: type[CompiledOptimizer], counted: Counted
) -> None:
    count = 10_000 if cls is generated.AdamW else 100
    params = [Parameter(torch.ones(2, 2)) for _ in range(count)]
    optimizer = warm(cls, params)
    counted.take()
    train(optimizer, [4])
    assert counted.take() == {"asked": 1, "sent": 1}


def test_an_answer_that_depends_on_the_name_is_asked_once_per_role(counted: Counted) -> None:
    params = small(6)
    names = ["q_proj.weight", "k_proj.weight", "up_proj.weight"]
    named = [(f"h.{k // 3}.{names[k % 3]}", param) for k, param in enumerate(params)]
    optimizer = make(generated.Muon, named)
    train(optimizer, range(4))
    counted.take()
    train(optimizer, [4])
    events = counted.take()
    assert events["asked"] <= 3 and "decided" not in events


def test_paths_that_alternate_are_each_laid_out_once(counted: Counted) -> None:
    params = small()
    adopt = make(generated.ADOPT, params)  # its first call takes another path
    train(adopt, range(4))
    counted.take()
    train(adopt, [4, 5])
    assert counted.take() == {"asked": 2, "sent": 2}


def test_a_step_that_fails_is_forgotten(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    optimizer = warm(generated.SGD, small())
    with monkeypatch.context() as patch, pytest.raises(OSError, match="no more"):
        patch.setattr(Tables, "send", lambda _: (_ for _ in ()).throw(OSError("no more")))
        train(optimizer, [4])
    counted.take()
    train(optimizer, [5])
    assert counted.take()["decided"] == 1


@pytest.mark.parametrize("remembers", [True, False])
def test_autograd_is_told_of_every_parameter_that_changed(
    remembers: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not remembers:
        monkeypatch.setattr(scene, "looker", lambda: None)
    params = small(3)
    optimizer = warm(generated.AdamW, params)
    params[1].grad = None
    for _ in range(3):
        optimizer.step()
    assert (optimizer._scene._watch is not None) is remembers
    before = [param._version for param in params]
    optimizer.step()
    after = [param._version for param in params]
    assert [b - a for a, b in zip(before, after, strict=True)] == [1, 0, 1]


def test_inference_tensors_are_never_counted_in_c() -> None:
    """C++ would end the process: they have no counter."""
    with torch.inference_mode():
        params = [Parameter(torch.ones(2, 4), requires_grad=False) for _ in range(2)]
        optimizer = warm(generated.AdamW, params)
    optimizer.step()
    assert optimizer._scene._watch is None


# ---------------------------------------------------------------- what may have changed meanwhile


def states_of(optimizer: Any) -> list[dict[str, Any]]:
    return list(optimizer.state.values())


def tensors_of(state: dict[str, Any]) -> list[str]:
    return [name for name, value in state.items() if isinstance(value, torch.Tensor)]


def replaced_states(optimizer: Any) -> None:
    for state in states_of(optimizer):
        for name in tensors_of(state):
            state[name] = state[name].clone().mul_(2)


def replaced_data_of_states(optimizer: Any) -> None:
    for state in states_of(optimizer):
        for name in tensors_of(state):
            state[name].data = state[name].data.clone().mul_(2)


def one_state_replaced(optimizer: Any) -> None:
    state = states_of(optimizer)[1]
    for name in tensors_of(state):
        state[name] = torch.zeros_like(state[name])


def moved_away_and_back(optimizer: Any) -> None:
    for state in states_of(optimizer):
        for name in tensors_of(state):
            state[name].data = state[name].data.double().to(state[name].dtype).clone()


def cleared(optimizer: Any) -> None:
    optimizer.state.clear()


def emptied(optimizer: Any) -> None:
    optimizer.state[optimizer.param_groups[0]["params"][1]] = {}


def deleted(optimizer: Any) -> None:
    del optimizer.state[optimizer.param_groups[0]["params"][0]]


def restarted(optimizer: Any) -> None:
    optimizer.state[optimizer.param_groups[0]["params"][2]]["step"] = 0


def all_restarted(optimizer: Any) -> None:
    for state in states_of(optimizer):
        state["step"] = 1


def replaced_params(optimizer: Any) -> None:
    for param in optimizer.param_groups[0]["params"]:
        param.data = param.data.clone().mul_(2)


def one_param_replaced(optimizer: Any) -> None:
    param = optimizer.param_groups[0]["params"][-1]
    param.data = torch.ones_like(param)


def strided_param(optimizer: Any) -> None:
    param = optimizer.param_groups[0]["params"][0]
    wide = torch.zeros(param.shape[0], 2 * param.shape[1])
    wide[:, ::2] = param.data
    param.data = wide[:, ::2]


def swapped_params(optimizer: Any) -> None:
    params = optimizer.param_groups[0]["params"]
    params[0], params[1] = params[1], params[0]


def dropped_param(optimizer: Any) -> None:
    del optimizer.state[optimizer.param_groups[0]["params"].pop()]


def swapped_states(optimizer: Any) -> None:
    one, two, *_ = optimizer.param_groups[0]["params"]
    optimizer.state[one], optimizer.state[two] = optimizer.state[two], optimizer.state[one]


def exchanged_states(optimizer: Any) -> None:
    one, two, *_ = states_of(optimizer)
    for name in tensors_of(one):
        one[name], two[name] = two[name], one[name]


def other_rate(optimizer: Any) -> None:
    optimizer.param_groups[0]["lr"] = 0.125


def rate_in_a_tensor(optimizer: Any) -> None:
    optimizer.param_groups[0]["lr"] = torch.tensor(0.125)


def ascending(optimizer: Any) -> None:
    optimizer.param_groups[0]["maximize"] = True


def scheduled(optimizer: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a scheduler that is made after the first steps
        torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=0.5).step()


def copied_group(optimizer: Any) -> None:
    optimizer.param_groups[0] = {**optimizer.param_groups[0], "lr": 0.25}


def more_params(optimizer: Any) -> None:
    optimizer.add_param_group({"params": [Parameter(torch.ones(4, 5))], "lr": 0.5})


def turned_in_place(optimizer: Any) -> None:
    for name in tensors_of(states_of(optimizer)[1]):
        state = states_of(optimizer)[1][name]
        if state.ndim == 2:
            state.t_()


def moved_by_its_storage(optimizer: Any) -> None:
    for state in states_of(optimizer):
        for name in tensors_of(state):
            storage = state[name].untyped_storage()
            kept, size = state[name].clone(), storage.nbytes()
            storage.resize_(0)
            storage.resize_(size)
            state[name].copy_(kept)


def exchanged_with_another(optimizer: Any) -> None:
    """What the object is a tensor of changes; the object, and its dict, do not."""
    state = states_of(optimizer)[1]
    for name in tensors_of(state):
        torch.utils.swap_tensors(state[name], state[name].clone().mul_(2))


def loaded(optimizer: Any) -> None:
    saved = copy.deepcopy(optimizer.state_dict())
    for state in saved["state"].values():
        state["step"] = 7
    optimizer.load_state_dict(saved)


TAMPERS: list[Callable[[Any], None]] = [
    replaced_states, replaced_data_of_states, one_state_replaced, moved_away_and_back, cleared,
    emptied, deleted, restarted, all_restarted, replaced_params, one_param_replaced, strided_param,
    swapped_params, dropped_param, swapped_states, exchanged_states, other_rate, rate_in_a_tensor,
    ascending, scheduled, copied_group, more_params, loaded, turned_in_place,
    moved_by_its_storage, exchanged_with_another,
]  # fmt: skip

SOME = [
    getattr(generated, name)
    for name in ("AdamW", "SGD", "NAdam", "ADOPT", "LAMB", "MuonMatrix", "AdamW8bit")
    if hasattr(generated, name)
]
some_classes = pytest.mark.parametrize("cls", SOME, ids=lambda cls: cls.__name__)


def compare(cls: type[CompiledOptimizer], tamper: Callable[[Any, int], None]) -> None:
    """Three steps after tampering equal those of a twin that remembers nothing."""
    params = small(5)
    optimizer = warm(cls, params)
    twins, twin = copy.deepcopy((params, optimizer))
    train(optimizer, [4, 5, 6])
    train(twin, [4, 5, 6])
    assert optimizer._scene._watch is not None
    for number in range(7, 10):
        for one in (optimizer, twin):
            set_gradients([p for group in one.param_groups for p in group["params"]], number)
            tamper(one, number)
        twin._scene = None
        optimizer.step()
        twin.step()
        assert same(params, twins)
    assert same_states(optimizer, twin)


@some_classes
@pytest.mark.parametrize("tamper", TAMPERS, ids=lambda tamper: tamper.__name__)
def test_what_changed_between_steps_is_seen(
    cls: type[CompiledOptimizer], tamper: Callable[[Any], None]
) -> None:
    compare(cls, lambda optimizer, number: tamper(optimizer) if number == 7 else None)


@some_classes
def test_a_parameter_that_moves_within_its_storage_is_seen(cls: type[CompiledOptimizer]) -> None:
    def move(optimizer: Any, number: int) -> None:
        param = optimizer.param_groups[0]["params"][2]
        if number == 7:
            param.data = torch.cat((param.detach(), param.detach() * 2))[: len(param)]
        if number == 9:
            with torch.no_grad():
                wide = torch.empty(0).set_(param.untyped_storage()).view(2, *param.shape)
                param.set_(wide[1])

    compare(cls, move)


def test_a_lazy_copy_keeps_its_values() -> None:
    """The address stays; it is the first who writes that gets another."""
    params = small(3)
    optimizer = warm(generated.AdamW, params)
    before = params[1].tolist()
    copied = torch._lazy_clone(params[1].detach())
    train(optimizer, [4, 5])
    assert copied.tolist() == before != params[1].tolist()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("where", [0, 1, 511, 512, 1023, 2559, 2560])
def test_several_threads_see_what_one_sees(
    counted: Counted, monkeypatch: pytest.MonkeyPatch, threads: int, where: int
) -> None:
    monkeypatch.setattr(watch, "_FEW", 1)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        params = [Parameter(torch.ones(2)) for _ in range(2561)]
        optimizer = warm(generated.SGD, params)
        counted.take()
        train(optimizer, [4])
        assert "decided" not in counted.take()
        for change in (
            lambda: setattr(params[where], "data", torch.ones(2)),
            lambda: setattr(params[where], "grad", None),
            lambda: optimizer.state.__setitem__(params[where], {"step": 1}),
            lambda: optimizer.state.__setitem__(params[where], None),
        ):
            train(optimizer, [5, 6])
            counted.take()
            change()
            try:
                optimizer.step()
            except TypeError:
                del optimizer.state[params[where]]
                optimizer.step()
            assert counted.take()["decided"] >= 1
    finally:
        torch.set_num_threads(before)


def missing(param: Parameter) -> None:
    param.grad = None


def transposed(param: Parameter) -> None:
    assert param.grad is not None
    param.grad = param.grad.t().contiguous().t()


def in_place_transposed(param: Parameter) -> None:
    assert param.grad is not None
    param.grad.data = param.grad.data.t().contiguous().t()


def of_another_dtype(param: Parameter) -> None:
    assert param.grad is not None
    param.grad.data = param.grad.data.bfloat16()


def wide(param: Parameter) -> None:
    assert param.grad is not None
    param.grad = torch.stack((param.grad, param.grad), dim=-1)[..., 0]


@some_classes
@pytest.mark.parametrize("where", [0, 2, 4])
@pytest.mark.parametrize(
    "tamper",
    [missing, transposed, in_place_transposed, of_another_dtype, wide],
    ids=lambda tamper: tamper.__name__,
)
def test_a_gradient_of_another_kind_is_seen(
    cls: type[CompiledOptimizer], tamper: Callable[[Parameter], None], where: int
) -> None:
    def once(optimizer: Any, number: int) -> None:
        if number == 8:
            tamper(optimizer.param_groups[0]["params"][where])

    compare(cls, once)


def test_states_are_not_kept_alive() -> None:
    optimizer = warm(generated.AdamW, small(5))
    for state in states_of(optimizer):
        for name in tensors_of(state):
            reference = weakref.ref(state[name])
            state[name] = None
            assert reference() is None


def test_a_sparse_gradient_is_refused_later_as_well() -> None:
    params = small(3)
    optimizer = warm(generated.AdamW, params)
    train(optimizer, [4])
    before = values(params)
    params[1].grad = torch.zeros(4, 5).to_sparse()
    with pytest.raises(RuntimeError, match="sparse"):
        optimizer.step()
    assert same(params, before)


def test_without_the_compiled_look_every_step_is_decided_anew(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene, "looker", lambda: None)
    params, others = small(5), small(5)
    train(make(generated.AdamW, params), range(5))
    assert counted.take()["decided"] == 5
    monkeypatch.undo()
    train(make(generated.AdamW, others), range(5))
    assert same(params, others)


# ---------------------------------------------------------------- launches and compilations


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[tuple[object, ...]]:
    """Triton's own launcher, which only writes down the kernel and what it would be compiled for:
    constants, and of every other argument what Triton's specialisation makes of it."""
    jit = pytest.importorskip("triton.runtime.jit")
    backend = pytest.importorskip("triton.backends.compiler").BaseBackend
    launches: list[tuple[object, ...]] = []

    def launch(self: Any, *args: Any, grid: Any, warmup: bool, **options: Any) -> None:
        given = dict(zip(self.arg_names, args, strict=False)) | options
        key: list[object] = [self.__name__]
        for param in self.params:
            value = given.pop(param.name)
            if param.is_constexpr:
                key.append((param.name, str(value)))
                continue
            assert isinstance(value, torch.Tensor) or param.name == "count", param.name
            special = not param.do_not_specialize, not param.do_not_specialize_on_alignment
            key.append(jit.native_specialize_impl(backend, value, param.is_const, *special))
        launches.append((*key, *sorted(given.items())))

    monkeypatch.setattr(jit.JITFunction, "run", launch)
    monkeypatch.setattr(Kernel, "compiled", property(lambda self: jitted(self)))
    return launches


_JITTED: dict[Kernel, Any] = {}


def jitted(kernel: Kernel) -> Any:
    """The kernel as a `triton.jit` function, without the interpreter's detour."""
    if kernel not in _JITTED:
        _JITTED[kernel] = _compiled_of(kernel)
    return _JITTED[kernel]


_compiled_of = Kernel.compiled.fget


def several(shapes: list[tuple[int, ...]], dtype: torch.dtype = torch.float32) -> list[Parameter]:
    random = torch.Generator().manual_seed(0)
    return [Parameter(torch.randn(shape, generator=random).to(dtype)) for shape in shapes]


def steps_of(cls: type[CompiledOptimizer], params: list[Parameter], **options: Any) -> Any:
    optimizer = make(cls, params, **options)
    train(optimizer, range(8))  # RAdam's sixth is the first with the second moment
    return optimizer


@every_class
def test_nothing_is_compiled_again_after_the_first_steps(
    cls: type[CompiledOptimizer], launched: list[tuple[object, ...]]
) -> None:
    with use_target("triton"):
        shapes = [(16, 16), (48, 16), (16, 32)] * 3
        train(make(cls, several(shapes)), range(20))  # some rules change their path until then
        known = set(launched)
        assert known or any(type(s).__name__ == "Matrix" for p in cls.paths for s in p.steps)
        optimizer = make(cls, several(shapes))
        for group in optimizer.param_groups:
            group["lr"] = 0.37
            for hyper in cls.hypers:
                if hyper.type == "tuple" and "betas" in hyper.name:
                    group[hyper.name] = (0.5, *group[hyper.name][1:])
                if hyper.name == "weight_decay":
                    group[hyper.name] = 0.21
        train(optimizer, range(20))
        for count in (1, 2, 15, 16, 17, 160):
            steps_of(cls, several([(16, 16), (48, 16), (32, 16)] * count)[:count])
        steps_of(cls, several([(80, 48), (16, 16)]))
        assert set(launched) == known


@every_class
def test_one_launch_per_pass_for_hundreds_of_tensors(
    cls: type[CompiledOptimizer], launched: list[tuple[object, ...]]
) -> None:
    """And per pair of dtypes."""

    def launches(params: list[Parameter]) -> Counter[object]:
        with use_target("triton"):
            optimizer = steps_of(cls, params)
            launched.clear()
            train(optimizer, [4])
        return Counter(key[0] for key in launched)

    one = launches(several([(16, 16)]))
    assert one == launches(several([(16, 16), (32, 32), (48, 48)] * 100))
    if not cls.totals:
        short = several([(16, 16)] * 50, torch.bfloat16)
        mixed = several([(16, 16)] * 50) + short
        assert launches(mixed) == one + launches(short[:1])


def shifted(shape: tuple[int, ...]) -> Parameter:
    """A parameter that begins one number after a multiple of 16 bytes."""
    return Parameter(torch.randn(math.prod(shape) + 1)[1:].view(shape))


@every_class
def test_tensors_that_are_not_aligned_have_launches_of_their_own(
    cls: type[CompiledOptimizer], launched: list[tuple[object, ...]]
) -> None:
    """Kernels are told which: full-width loads are only for multiples of 16 bytes."""
    if cls.totals:
        pytest.skip("its launches depend on how many buckets there are")
    seen: list[Counter[object]] = []
    for count in (0, 5):
        with use_target("triton"):
            params = several([(16, 16)] * 3) + [shifted((16, 16)) for _ in range(count)]
            optimizer = steps_of(cls, params)
            launched.clear()
            train(optimizer, [4])
        constants = (part for key in launched for part in key[1:] if isinstance(part, tuple))
        seen.append(Counter(part[1] for part in constants if part[0] == "ALIGNED"))
    alone, both = seen
    assert "False" not in alone
    assert both["True"] == both["False"] == alone["True"]
