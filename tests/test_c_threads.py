"""Threads of the C target: torch's number of them, torch's own, none in a forked child; and results
that do not depend on how many there are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import handwritten
import pytest
import torch
from contract import Optimizer, classes, make, parameters, same, train, values

from stepc.runtime import c as target
from stepc.runtime import c_compiler
from stepc.runtime.path import Matrix

LARGE = ((700, 131), (300, 257), (65, 64), (5,))  # more elements than one thread is left with


def script(text: str, *args: str) -> str:
    """What a fresh process prints."""
    head = "import os, sys, torch, stepc\n" + MODEL
    command = [sys.executable, "-c", head + text, *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, (done.returncode, done.stderr)
    return done.stdout.strip()


MODEL = """
def model():
    param = torch.ones(700, 700, requires_grad=True)
    param.grad = torch.ones_like(param)
    return stepc.AdamW([param])

def threads():
    return len(os.listdir('/proc/self/task'))
"""


def ours_alone(cls: Optimizer) -> bool:
    """Whether no step is a matrix product: those are torch's, whose sums depend on its threads."""
    return not any(isinstance(step, Matrix) for path in cls.paths for step in path.steps)


OURS = [cls for cls in classes() if ours_alone(cls)]


@pytest.mark.parametrize("cls", OURS, ids=lambda cls: cls.__name__)
def test_bits_do_not_depend_on_threads(cls: Optimizer, monkeypatch: pytest.MonkeyPatch) -> None:
    before, asked, results = torch.get_num_threads(), [], []
    launch = target.Library.launch

    def watched(self: target.Library, *args: object) -> None:
        real = self._threads
        self._threads = lambda count: (asked.append(count), real(count))
        launch(self, *args)  # type: ignore[arg-type]
        self._threads = real

    monkeypatch.setattr(target.Library, "launch", watched)
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            params = parameters(cls, shapes=LARGE)
            optimizer = make(cls, params)
            train(optimizer, range(2))
            results.append((values(params), values(_states(optimizer))))
    finally:
        torch.set_num_threads(before)
    assert {1, 2, 3} <= set(asked)
    for params, states in results[1:]:
        assert same(params, results[0][0]) and same(states, results[0][1])


def _states(optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    found = [x for state in optimizer.state.values() for x in state.values()]
    return [x for x in found if isinstance(x, torch.Tensor)]


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system for this process's threads")
def test_a_forked_child_does_not_wait_for_its_parents_threads() -> None:
    """The parent's OpenMP threads are not in the child; with them, a step would never end."""
    text = """
import signal
torch.set_num_threads(2)
optimizer = model()
optimizer.step()
if os.fork() == 0:
    signal.alarm(20)
    optimizer.step()
    print(threads(), optimizer.param_groups[0]['params'][0][0, 0].item(), flush=True)
    os._exit(0)
assert os.wait()[1] == 0, 'the child did not end'
optimizer.step()
print(threads() > 1, optimizer.param_groups[0]['params'][0][0, 0].item())
"""
    (alone, child), (shared, parent) = (line.split() for line in script(text).splitlines())
    assert (alone, shared) == ("1", "True") and child == parent


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system for this process's threads")
@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_a_worker_of_a_data_loader_starts_no_threads(start: str, tmp_path: Path) -> None:
    text = """
sys.path.insert(0, sys.argv[2])
from loaded import Steps
torch.set_num_threads(2)
loader = torch.utils.data.DataLoader(
    Steps(), batch_size=None, num_workers=2, multiprocessing_context=sys.argv[1])
if __name__ == '__main__':
    print(*(int(started) for started in loader))
"""
    dataset = f"""
import os, torch, stepc
{MODEL}
class Steps(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, index):
        optimizer, before = model(), threads()
        optimizer.step()
        optimizer.step()
        return threads() - before
"""
    (tmp_path / "loaded.py").write_text(dataset)
    assert script(text, start, str(tmp_path)) == "0 0 0 0"


@pytest.mark.skipif(sys.platform != "linux", reason="asks the system for this process's libraries")
def test_one_openmp_library_serves_torch_and_kernels() -> None:
    library = target.compiled(classes()[0].c_source, torch.float32, torch.float32)
    assert library is not None
    mine = c_compiler.library_of(library._library.GOMP_parallel)
    assert mine is not None and mine == c_compiler.openmp_of_torch()


STUB = "void omp_set_num_threads(int n) {} void GOMP_parallel(void) {}" + "".join(
    f"int omp_get_{what}(void) {{ return 1; }}" for what in ("num_threads", "thread_num")
)


@pytest.mark.skipif(sys.platform != "linux", reason="the form of its libraries")
def test_openmp_under_another_name_is_linked_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wheels of torch carry it under names like libgomp-a34b3233.so.1."""
    compiler = c_compiler.find_compiler()
    assert compiler is not None
    source, stub = tmp_path / "stub.c", tmp_path / "libgomp-a34b3233.so.1"
    source.write_text(STUB)
    shared = ["-shared", "-fPIC", f"-Wl,-soname,{stub.name}", "-o", str(stub), str(source)]
    subprocess.run([*compiler, *shared], check=True)
    monkeypatch.setattr(c_compiler, "openmp_of_torch", lambda: str(stub))
    flags = (*c_compiler.BASE, "-fopenmp", "-DPARAM=f32", "-DGRAD=f32")
    c_compiler.build(compiler, flags, handwritten.ADAMW_C, tmp_path / "kernels.so")
    needed = (tmp_path / "kernels.so").read_bytes()
    assert b"\0libgomp-a34b3233.so.1\0" in needed and b"\0libgomp.so" not in needed
