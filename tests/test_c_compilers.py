"""The C target with compilers that lack something, folders that refuse, and binaries that lie."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import handwritten
import pytest
import torch
from contract import classes, parameters, same, same_states, train
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
    (kept,) = fresh.glob("*.so")
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
    assert list(fresh.glob("*.so")) == [kept]


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
    processor, machine = target.processor, target.machine
    monkeypatch.setattr(target, "processor", lambda *a: processor(*a) + "#define __OTHER__ 1\n")
    monkeypatch.setattr(target, "machine", lambda *a: f"{machine(*a)}, another")
    target.compiled.cache_clear()
    target.compiled(handwritten.ADAMW_C, *F32)
    assert len(list(fresh.glob("*.so"))) == 2


def test_a_processor_is_told_by_its_instruction_sets(fresh: Path) -> None:
    compiler = c_compiler.find_compiler()
    assert compiler is not None
    native = c_compiler.processor(compiler, ("-march=native",))
    assert native != c_compiler.processor(compiler, ())
    assert f"#define __{os.uname().machine}__ 1" in native and "__VERSION__" in native


QUESTION = '#!/bin/sh\necho "$@" >> {log}\nexec {real} "$@"\n'


@pytest.fixture
def asked(
    fresh: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], object]]:
    """How often a new process asks the compiler about the processor, and builds."""
    real = c_compiler.find_compiler()
    assert real is not None
    fake(monkeypatch, log, QUESTION.format(log=log, real=real[0]))

    def count() -> tuple[int, int]:
        log.write_text("")
        forget()
        assert target.compiled(handwritten.ADAMW_C, *F32) is not None
        lines = log.read_text().splitlines()
        return sum("-dM" in line for line in lines), sum("kernels.c" in line for line in lines)

    assert count() == (1, 1)
    yield count


needs_notes = pytest.mark.skipif(
    c_compiler.machine((sys.executable,)) is None, reason="this system does not tell machines apart"
)


@needs_notes
def test_what_the_compiler_said_is_noted(asked: Callable[[], object]) -> None:
    assert asked() == (0, 0)


@needs_notes
@pytest.mark.parametrize("other", ["_BOOT", "_FEATURES"])
def test_another_machine_asks_again(
    asked: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """Even one of the same name. What it learns is the same here, so nothing is built."""
    text = tmp_path / "text"
    text.write_text("another")
    monkeypatch.setattr(c_compiler, other, str(text))
    assert asked() == (1, 0)
    assert asked() == (0, 0)


@needs_notes
def test_another_compiler_of_the_same_name_is_asked_again(
    asked: Callable[[], object], log: Path
) -> None:
    os.utime(log.parent / "fakecc", (1, 1))
    assert asked() == (1, 0)
    with (log.parent / "fakecc").open("a") as script:
        script.write("\n")
    os.utime(log.parent / "fakecc", (1, 1))
    assert asked() == (1, 0)


@needs_notes
def test_machines_that_share_a_folder_have_notes_of_their_own(
    asked: Callable[[], object], fresh: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "node", lambda: "another")
    assert asked() == (1, 0)
    assert len(list(fresh.glob("*.note"))) == 2


@needs_notes
@pytest.mark.parametrize("damage", ["", "no", "a b", "a b c", "\udcff"])
def test_a_damaged_note_is_not_believed(
    asked: Callable[[], object], fresh: Path, damage: str
) -> None:
    (note,) = fresh.glob("*.note")
    whole = note.read_text()
    for text in (damage, whole[:-10], whole[1:]):
        note.write_bytes(text.encode(errors="surrogateescape"))
        assert asked() == (1, 0)
        assert note.read_text() == whole


def test_where_nothing_tells_machines_apart_the_compiler_is_asked(
    asked: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c_compiler, "_BOOT", "/nowhere")
    assert asked() == asked() == (1, 0)


CROSS = shutil.which("aarch64-linux-gnu-gcc")


@pytest.mark.skipif(CROSS is None, reason="no aarch64-linux-gnu-gcc to build for another processor")
@pytest.mark.skipif(os.uname().machine == "aarch64", reason="that is this processor")
def test_a_library_of_another_architecture(fresh: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the cache, under the right name and whole, it is replaced; from $CC, torch runs."""
    assert target.compiled(handwritten.ADAMW_C, *F32) is not None
    (mine,) = fresh.glob("*.so")
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


# ---------------------------------------------------------------- pieces


def long_text() -> str:
    """Kernels after something they share, in more than one piece."""
    kernels = (
        f"void k{n}(int64_t count, int64_t *out) {{ *out = shared({n}) + count; }}\n"
        f"/* {'x' * 3000} */\n"
        for n in range(20)
    )
    shared = "#include <stdint.h>\nstatic int64_t shared(int64_t n) { return 10 * n; }\n"
    return shared + "".join(kernels)


def test_a_long_text_is_compiled_in_pieces(fresh: Path) -> None:
    text = long_text()
    parts = c_compiler.pieces(text)
    assert len(parts) > 1 and max(map(len, parts)) < 1.5 * min(map(len, parts))
    library = target.compiled(text, *F32)
    assert library is not None
    for number in range(20):
        out = torch.zeros(1, dtype=torch.int64)
        library.launch(f"k{number}", 3, [out], 0)
        assert out.item() == 10 * number + 3
    assert c_compiler.pieces(handwritten.ADAMW_C) == [handwritten.ADAMW_C]


def test_a_text_that_cannot_be_cut_is_compiled_whole(fresh: Path) -> None:
    kernel = "void last(int64_t count, int64_t *out) { *out = between; }\n"
    text = f"{long_text()}static int64_t between = 7;\n{kernel}{kernel.replace('last', 'later')}"
    assert not all("between =" in part for part in c_compiler.pieces(text))
    library = target.compiled(text, *F32)
    assert library is not None
    out = torch.zeros(1, dtype=torch.int64)
    library.launch("last", 0, [out], 0)
    assert out.item() == 7


def test_no_generated_text_must_be_compiled_whole() -> None:
    long = 0
    for cls in classes():
        parts = c_compiler.pieces(cls.c_source)
        lines = cls.c_source.splitlines()
        shared = [line for line in lines if line.startswith(("#", "static"))]
        assert all(line in part for line in shared for part in parts), cls.__name__
        long += len(parts) > 1
    assert long >= 3
