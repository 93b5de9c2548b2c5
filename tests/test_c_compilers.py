"""The C target with compilers that lack something, folders that refuse, and binaries that lie."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import handwritten
import pytest
import torch
from contract import parameters, same, same_states, train
from test_runtime_c import F32, forget

import stepc
from stepc.runtime import c as target
from stepc.runtime import c_cache, c_compiler, use_target

REFUSES = """\
#!/bin/sh
echo "$@" >> {log}
for word in "$@"; do
    case "$word" in {words}) echo "unrecognized option $word" >&2; exit 1;; esac
done
exec {real} "$@"
"""


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache folder, and a process that remembers nothing."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("STEPC_CACHE_DIR", str(folder))
    forget()
    yield folder
    forget()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where a fake compiler writes what it was asked."""
    return tmp_path / "log"


def fake(monkeypatch: pytest.MonkeyPatch, log: Path, text: str) -> None:
    """Make a script the compiler."""
    script = log.parent / "fakecc"
    script.write_text(text)
    script.chmod(0o755)
    monkeypatch.setenv("CC", str(script))
    forget()


def refusing(monkeypatch: pytest.MonkeyPatch, log: Path, *words: str) -> None:
    real = c_compiler.find_compiler()
    assert real is not None
    text = REFUSES.format(log=log, words="|".join(words), real=real[0])
    fake(monkeypatch, log, text)


def trained(form: str = "c") -> list[torch.nn.Parameter]:
    params = parameters(handwritten.AdamW)
    with use_target(form):
        train(handwritten.AdamW(params), range(3))
    return params


def close(one: list[torch.nn.Parameter], two: list[torch.nn.Parameter]) -> bool:
    return all(torch.allclose(a, b, rtol=1e-6, atol=1e-7) for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (("-fopenmp",), ("-march=native",)),
        (("-march=native",), ("-fopenmp",)),
        (("-fopenmp", "-march=native"), ()),
    ],
)
def test_a_compiler_that_lacks_a_flag(
    fresh: Path, log: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], kept: list[str]
) -> None:
    want = trained()
    refusing(monkeypatch, log, *words)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # C still runs: nothing to warn of
        assert close(trained(), want)
    built = log.read_text().splitlines()[-1].split()
    assert [w for w in built if w in ("-fopenmp", "-march=native")] == list(kept)
    assert str(log.parent / "fakecc") == (c_compiler.find_compiler() or ("",))[0]


def test_what_a_lesser_compiler_built_is_found_again(
    fresh: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusing(monkeypatch, log, "-fopenmp")
    trained()
    forget()
    log.write_text("")
    trained()
    assert not [line for line in log.read_text().splitlines() if "kernels.c" in line]


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags are those of x86-64")
@pytest.mark.parametrize("lacking", ["-mno-avx512vbmi", "-mno-avx512f"])
@pytest.mark.parametrize("name", ["AdamW8bit", "AdamW4bit", "FlashAdamW"])
def test_codes_are_looked_up_alike_on_every_processor(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, name: str, lacking: str
) -> None:
    real = c_compiler.find_compiler()
    assert real is not None

    def run(compiler: str) -> torch.optim.Optimizer:
        monkeypatch.setenv("CC", compiler)
        forget()
        cls = getattr(stepc, name)
        with use_target("c"):
            optimizer = cls(parameters(cls, shapes=[(5000,), (65, 70)]))
            train(optimizer, range(3))
        return optimizer

    one, two = run(real[0]), run(f"{real[0]} {lacking}")
    assert same(one.param_groups[0]["params"], two.param_groups[0]["params"])
    assert same_states(one, two)


def test_a_compiler_that_only_fails_is_quoted(
    fresh: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = trained("torch")
    fake(monkeypatch, log, "#!/bin/sh\necho no licence was found >&2\nexit 3\n")
    with pytest.warns(UserWarning, match="no licence was found"):
        found = trained()
    assert same(found, want)


def test_a_compiler_that_writes_garbage(
    fresh: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    want = trained("torch")
    text = '#!/bin/sh\nwhile [ $# -gt 1 ]; do [ "$1" = -o ] && echo no > "$2"; shift; done\n'
    fake(monkeypatch, log, text)
    with pytest.warns(UserWarning, match="cannot build them"):
        found = trained()
    assert same(found, want)


def test_a_compiler_that_is_not_there(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "/nowhere/cc")
    forget()
    assert target.compiled(handwritten.ADAMW_C, *F32) is not None  # another one is


def test_cc_may_have_arguments(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = c_compiler.find_compiler()
    assert real is not None
    monkeypatch.setenv("CC", f"{real[0]} -DSAID=1")
    forget()
    assert c_compiler.find_compiler() == (real[0], "-DSAID=1")
    text = f"#ifndef SAID\n#error not said\n#endif\n{handwritten.ADAMW_C}"
    assert target.compiled(text, *F32) is not None


# ---------------------------------------------------------------- folders


def test_a_read_only_folder_is_read_but_not_written(
    fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target.compiled(handwritten.ADAMW_C, *F32)
    (kept,) = fresh.iterdir()
    fresh.chmod(0o500)
    real = c_compiler.tempfile.TemporaryDirectory

    def refuse(dir: Path) -> object:  # as root, a folder without permission is still writable
        if Path(dir) == fresh:
            raise PermissionError(13, "Permission denied", str(dir))
        return real(dir=dir)

    monkeypatch.setattr(c_compiler.tempfile, "TemporaryDirectory", refuse)
    forget()
    library = target.compiled(handwritten.ADAMW_C, *F32)
    assert library is not None and library.path == str(kept)
    other = target.compiled(handwritten.ROWS_C, *F32)
    assert other is not None and Path(other.path).parent == c_cache.temporary()
    fresh.chmod(0o700)
    assert list(fresh.iterdir()) == [kept]


def test_a_forked_child_leaves_the_temporary_folder(tmp_path: Path) -> None:
    code = (
        "import os\nfrom stepc.runtime.c_cache import temporary\n"
        "folder = temporary()\n"
        "if os.fork() == 0:\n    raise SystemExit\n"  # runs what was registered for the end
        "os.wait()\nassert folder.exists()\nprint(folder)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not Path(done.stdout.strip()).exists()  # and it does go, with its owner


# ---------------------------------------------------------------- processors


@pytest.mark.parametrize("variant", c_compiler.VARIANTS)
def test_the_key_knows_the_processor(
    fresh: Path, monkeypatch: pytest.MonkeyPatch, variant: tuple[str, ...]
) -> None:
    """A folder that two machines share: what one of them built is not loaded by the other."""
    monkeypatch.setattr(target, "VARIANTS", (variant,))
    target.compiled(handwritten.ADAMW_C, *F32)
    real = target.processor
    monkeypatch.setattr(target, "processor", lambda *a: real(*a) + "#define __OTHER__ 1\n")
    target.compiled.cache_clear()
    target.compiled(handwritten.ADAMW_C, *F32)
    assert len(list(fresh.iterdir())) == 2


def test_a_processor_is_told_by_its_instruction_sets(fresh: Path) -> None:
    compiler = c_compiler.find_compiler()
    assert compiler is not None
    native = c_compiler.processor(compiler, ("-march=native",))
    assert native != c_compiler.processor(compiler, ())
    assert f"#define __{os.uname().machine}__ 1" in native and "__VERSION__" in native


CROSS = shutil.which("aarch64-linux-gnu-gcc")


@pytest.mark.skipif(CROSS is None, reason="no aarch64-linux-gnu-gcc to build for another processor")
@pytest.mark.skipif(os.uname().machine == "aarch64", reason="that is this processor")
def test_a_library_of_another_architecture(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the cache, under the right name and whole, it is replaced; from $CC, torch runs."""
    assert target.compiled(handwritten.ADAMW_C, *F32) is not None
    (mine,) = fresh.iterdir()
    second = fresh.parent / "second"  # a path that this process has not loaded yet
    second.mkdir(mode=0o700)
    path = second / mine.name
    source = fresh.parent / "empty.c"
    source.write_text("int nothing;")
    subprocess.run([str(CROSS), "-shared", "-fPIC", "-o", str(path), str(source)], check=True)
    c_cache.seal(path)
    monkeypatch.setenv("STEPC_CACHE_DIR", str(second))
    forget()
    library = target.compiled(handwritten.ADAMW_C, *F32)
    assert library is not None and library.path == str(path)
    want = trained("torch")
    assert close(trained(), want)
    monkeypatch.setenv("CC", str(CROSS))
    forget()
    with pytest.warns(UserWarning, match="cannot build them"):
        assert same(trained(), want)
