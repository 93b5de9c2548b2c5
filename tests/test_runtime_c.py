"""The compiled CPU target: its cache, damaged files, and doing without a compiler."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import handwritten
import pytest
import torch
from contract import parameters, same, train

from stepc.runtime import c as target
from stepc.runtime import c_cache, c_compiler, use_target

F32 = (torch.float32, torch.float32)


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder, and a process that remembers nothing."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("STEPC_CACHE_DIR", str(folder))
    forget()
    yield folder
    forget()


def forget() -> None:
    for remembered in (
        target.compiled, target._warn, c_cache.temporary,
        c_compiler.find_compiler, c_compiler.processor,
    ):  # fmt: skip
        remembered.cache_clear()


def test_a_library_is_built_once_and_found_again(fresh: Path) -> None:
    assert target.compiled(handwritten.ADAMW_C, *F32) is not None
    (kept,) = fresh.glob("*.so")
    before = kept.stat().st_mtime_ns
    forget()
    assert target.compiled(handwritten.ADAMW_C, *F32) is not None
    assert [path.stat().st_mtime_ns for path in fresh.glob("*.so")] == [before]


def test_dtypes_and_texts_have_their_own_libraries(fresh: Path) -> None:
    target.compiled(handwritten.ADAMW_C, *F32)
    target.compiled(handwritten.ADAMW_C, torch.bfloat16, torch.float32)
    target.compiled(handwritten.ROWS_C, *F32)
    assert len(list(fresh.glob("*.so"))) == 3


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_a_damaged_library_is_built_again(fresh: Path, damage: str) -> None:
    target.compiled(handwritten.ROWS_C, *F32)
    (kept,) = fresh.glob("*.so")
    content = kept.read_bytes()
    middle = len(content) // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    kept.unlink()  # it is mapped into this process: leave that file alone
    kept.write_bytes(
        {"cut": content[:middle], "flipped": flipped, "empty": b"", "text": b"no"}[damage]
    )
    forget()
    assert target.compiled(handwritten.ROWS_C, *F32) is not None
    assert kept.read_bytes() == content or c_cache.is_whole(kept)


def test_a_folder_that_others_may_write_to_is_not_used(fresh: Path) -> None:
    fresh.mkdir()
    fresh.chmod(0o777)
    assert target.compiled(handwritten.ADAMW_C, *F32) is not None
    assert list(fresh.glob("*.so")) == []
    fresh.chmod(0o700)


def test_a_folder_that_cannot_be_made(fresh: Path) -> None:
    fresh.write_text("a file stands here")
    assert target.compiled(handwritten.ADAMW_C, *F32) is not None


def test_the_folder_is_private(fresh: Path) -> None:
    target.compiled(handwritten.ADAMW_C, *F32)
    assert stat.S_IMODE(fresh.stat().st_mode) == 0o700


def test_many_processes_at_once(fresh: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import handwritten, torch\n"
        "from stepc.runtime.c import compiled\n"
        "assert compiled(handwritten.LAMB_C, torch.float32, torch.float32) is not None\n"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent)]
    running = [subprocess.Popen(command, env=os.environ) for _ in range(3)]
    assert [process.wait(timeout=100) for process in running] == [0, 0, 0]
    (kept,) = fresh.glob("*.so")
    assert c_cache.is_whole(kept)


def test_without_openmp_or_native_code(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "VARIANTS", (("-march=nonsense", "-fopenmp"), ()))
    assert target.compiled(handwritten.ADAMW_C, *F32) is not None


def test_without_a_compiler_the_torch_form_runs_and_says_so_once(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for name in ("c", "torch"):
        params = parameters(handwritten.AdamW)
        with use_target(name):
            train(handwritten.AdamW(params), range(2))
        results.append(params)
    forget()
    monkeypatch.setenv("PATH", str(fresh))
    monkeypatch.delenv("CC", raising=False)
    params = parameters(handwritten.AdamW)
    optimizer = handwritten.AdamW(params)
    with pytest.warns(UserWarning, match="no C compiler was found"):
        train(optimizer, [0])
    train(optimizer, [1])  # a second warning would be an error here
    assert same(params, results[1])


def test_a_compiler_that_fails_is_quoted(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = parameters(handwritten.AdamW)
    monkeypatch.setattr(handwritten.AdamW, "c_source", "this is not C")
    with pytest.warns(UserWarning, match="this is not C"):
        train(handwritten.AdamW(params), range(2))


def test_few_elements_do_not_wake_threads() -> None:
    library = target.compiled(handwritten.ADAMW_C, *F32)
    assert library is not None
    asked: list[int] = []
    library._threads, real = asked.append, library._threads
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        train(handwritten.AdamW(parameters(handwritten.AdamW)), [0])
        large = parameters(handwritten.AdamW, shapes=((300, 300),))
        train(handwritten.AdamW(large), [0])
    finally:
        library._threads = real
        torch.set_num_threads(threads)
    assert asked == [1, 2, 2, 2]
