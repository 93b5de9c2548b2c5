"""The benchmark measures what it says: statistics, bytes, failures, the files it writes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch

import stepc
from stepc import generated
from stepc.benchmarks import process, training, worker
from stepc.benchmarks.build import Built, build, optimizer_class
from stepc.benchmarks.contestants import REFERENCE, Contestant
from stepc.benchmarks.measure import state_bytes, work
from stepc.benchmarks.parameters import LISTS, Parameters, parameters
from stepc.benchmarks.peers import LIBRARIES, arguments, rivals
from stepc.benchmarks.race import Setting, race
from stepc.benchmarks.record import (
    Failure,
    Record,
    Row,
    Spread,
    dumps,
    from_data,
    read,
    spread,
    write,
)  # fmt: skip
from stepc.benchmarks.report import HEAD, README, RESULTS, block, cells, markdown, rewrite
from stepc.benchmarks.worker import Worker
from stepc.cli import main

ROOT = Path(stepc.__file__).parent
MODEL = Parameters("test", (("a.weight", (96, 64)), ("a.bias", (96,))))
NUMEL = 96 * 64 + 96


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def ours(rule: str) -> Contestant:
    return Contestant("stepc", "", rule)


# ---------------------------------------------------------------- numbers


def test_quartiles_of_known_numbers() -> None:
    assert spread([5.0, 1.0, 2.0, 4.0, 3.0]) == Spread(3.0, 2.0, 4.0, 5)
    assert spread([1.0, 2.0]) == Spread(1.5, 1.25, 1.75, 2)


def test_lists_are_the_models() -> None:
    known = {"gpt2": (148, 124_439_808), "llama": (291, 8_030_261_248), "small": (10_000, None),
             "resnet50": (161, 25_557_032), "matrices": (48, None)}  # fmt: skip
    assert set(known) == set(LISTS)
    for name, (tensors, numel) in known.items():
        listed = parameters(name, 1 << 40)
        assert len(listed.shapes) == len(dict(listed.shapes)) == tensors
        assert numel in (None, listed.numel)


@pytest.mark.parametrize("name", [*LISTS, "flat"])
def test_lists_shrink_to_what_memory_holds(name: str) -> None:
    whole, limit = parameters(name, 1 << 40), 2_000_000
    listed = parameters(name, limit)
    assert limit / 4 < listed.numel <= limit
    assert [(n, len(s)) for n, s in listed.shapes] == [(n, len(s)) for n, s in whole.shapes]


def test_an_unknown_list_is_named() -> None:
    with pytest.raises(ValueError, match="no list of parameters `gpt3`; there are gpt2"):
        parameters("gpt3", 1000)


# ---------------------------------------------------------------- bytes


@pytest.mark.parametrize(
    ("rule", "bytes_each"),
    [
        ("SGD", 12),
        ("SGD(momentum = 0.9)", 20),
        ("RMSprop", 20),
        ("RMSprop(momentum = 0.9)", 28),
        ("AdamW", 28),
        ("LAMB", 40),
    ],
)
def test_bytes_are_those_of_the_path_taken(rule: str, bytes_each: int) -> None:
    built = build(ours(rule), MODEL, torch.float32, "cpu")
    built.step()
    assert isinstance(built.optimizer, generated.AdamW.__base__)
    assert work(built.optimizer).moved == bytes_each * NUMEL


def test_bytes_of_other_dtypes_and_codecs() -> None:
    half = build(ours("AdamW"), MODEL, torch.bfloat16, "cpu").optimizer
    assert isinstance(half, generated.AdamW)
    assert work(half).moved == (3 * 2 + 4 * 4) * NUMEL
    assert work(half).launches == 1
    listed = Parameters("large", (("w", (128, 256)),))
    eight = build(ours("AdamW8bit"), listed, torch.float32, "cpu").optimizer
    assert isinstance(eight, generated.AdamW8bit)
    assert work(eight).moved == 16.0625 * 128 * 256


def test_matrix_products_are_not_counted() -> None:
    muon = build(ours("MuonMatrix"), Parameters("m", (("w", (32, 16)),)), torch.float32, "cpu")
    assert isinstance(muon.optimizer, generated.MuonMatrix)
    assert work(muon.optimizer).moved is None


def test_watching_a_step_changes_nothing_else() -> None:
    params = [build(ours("AdamW"), MODEL, torch.float32, "cpu") for _ in range(2)]
    for built in params:
        built.step()
    assert isinstance(params[0].optimizer, generated.AdamW)
    work(params[0].optimizer)
    params[1].step()
    params[0].step()
    params[1].step()
    for a, b in zip(params[0].params, params[1].params, strict=True):
        assert torch.equal(a, b)


def test_state_bytes_are_counted_once() -> None:
    param = torch.nn.Parameter(torch.zeros(100))
    param.grad = torch.ones(100)
    optimizer = torch.optim.AdamW([param])
    optimizer.step()
    assert state_bytes(optimizer) == 2 * 400 + 4
    optimizer.state[param]["again"] = optimizer.state[param]["exp_avg"]
    optimizer.state[param]["the parameter"] = param.detach()
    optimizer.state[param]["nested"] = {"a": [torch.zeros(3)]}
    assert state_bytes(optimizer) == 2 * 400 + 4 + 12


# ---------------------------------------------------------------- contestants


def test_a_compiled_module_races_too(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text((ROOT / "generated" / "lion.py").read_text("utf-8"), "utf-8")
    assert optimizer_class(str(path)).__name__ == "Lion"
    with pytest.raises(ValueError, match="no module"):
        optimizer_class(str(tmp_path / "absent.py"))


def test_rivals_are_the_best_variant_of_what_is_installed() -> None:
    assert rivals("AdamW + Cautious", ["torch"]) == [REFERENCE]
    assert rivals("RMSprop(momentum = 0.9)", ["torch"]) == [Contestant("torch", "", "RMSprop")]
    assert rivals("LAMB", ["torch"]) == []
    assert rivals("SGD", ["torch.foreach"]) == [Contestant("torch", "foreach", "SGD")]
    with pytest.raises(ValueError, match="no library `torhc`"):
        rivals("SGD", ["torhc"])


def test_every_peer_of_torch_is_there() -> None:
    for name, library in LIBRARIES.items():
        if library.module == "torch.optim":
            for rule in library.rules:
                _, attribute, given = arguments(Contestant(*_parts(name), rule))
                param = torch.nn.Parameter(torch.zeros(4, 4))
                getattr(torch.optim, attribute)([param], **given)


def _parts(name: str) -> tuple[str, str]:
    library, _, variant = name.partition(".")
    return library, variant


# ---------------------------------------------------------------- a race


@pytest.fixture(scope="module")
def record() -> Record:
    setting = Setting("gpt2", 1 << 14, threads=1, rounds=4, seconds=1.0)
    heats = [
        (ours("SGD"), [Contestant("torch", "fused", "SGD"), Contestant("torch", "graph", "AdamW")]),
        (ours("Nonsense"), []),
    ]
    lines: list[str] = []
    found = race(heats, setting, lines.append)
    assert any("SGD beside torch SGD (fused): round 4 of 4" in line for line in lines)
    return found


def test_the_noise_is_the_first_row(record: Record) -> None:
    noise = record.rows[0]
    assert noise.name == record.reference.name == str(REFERENCE)
    assert noise.ratio.pairs == 4
    assert noise.ratio.low <= noise.ratio.median <= noise.ratio.high
    assert 0.2 < noise.ratio.median < 5
    assert record.reference.moved == 28 * record.numel


def test_ours_and_its_rival_are_beside_each_other(record: Record) -> None:
    sgd, theirs = record.row("SGD"), record.row("torch SGD (fused)")
    assert (sgd.moved, theirs.ours, theirs.state_bytes) == (12 * record.numel, "SGD", 0)
    assert theirs.ours_ratio is not None and theirs.ours_ratio.pairs == 4
    assert sgd.launches == 1
    assert sgd.cold_s and sgd.warm_s and sgd.first_s and sgd.host_s
    assert sgd.warm_s < sgd.cold_s  # the second process finds what the first one compiled
    assert record.share_of_bytes(sgd) == pytest.approx(12 / 28)
    assert [row.name for row in record.machine] == ["copy", "in place"]
    assert all(row.bytes_per_parameter == 8 for row in record.machine)


def test_who_does_not_run_is_listed_with_the_reason(record: Record) -> None:
    graph, nonsense = record.failures
    assert graph == Failure("torch AdamW (graph)", "ValueError: a CUDA graph needs a GPU")
    assert nonsense.name == "Nonsense"
    assert "Nonsense" in nonsense.message.removeprefix("SpecError")


def test_a_process_that_dies_is_explained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process.sys, "executable", "false")
    worker = process.Process(process.Caches(tmp_path))
    with pytest.raises(process.Failed, match="the process ended: exit code 1"):
        worker.ask("turn")
    worker.close()


def test_who_drops_gradients_does_not_race(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step but the first would be none."""
    order = {"threads": 0, "device": "cuda", "dtype": "float32", "parameters": "flat", "limit": 99}
    started = Worker().start

    def drops(*given: object) -> Built:
        built = build(ours("AdamW"), MODEL, torch.float32, "cpu")
        return replace(built, step=built.optimizer.zero_grad)

    monkeypatch.setattr(worker, "build", drops)
    monkeypatch.setattr(Worker, "_cold", lambda self: None)
    monkeypatch.setattr(worker, "Memory", lambda device: None)
    monkeypatch.setattr(worker, "synchronize", lambda device: None)
    with pytest.raises(ValueError, match="drops its gradients"):
        started({**order, "contestant": ["stepc", "", "AdamW"]})


def test_a_record_survives_its_file(record: Record, tmp_path: Path) -> None:
    write(record, tmp_path / "a.json")
    again = read(tmp_path / "a.json")
    assert dumps(asdict(again)) == (tmp_path / "a.json").read_text("utf-8")
    assert [row.name for row in again.rows] == [row.name for row in record.rows]
    data = json.loads((tmp_path / "a.json").read_text("utf-8"))
    del data["numel"]
    with pytest.raises(TypeError):
        from_data(data)


def test_reports_say_what_the_record_says(record: Record) -> None:
    row = replace(record.row("SGD"), ratio=Spread(0.456, 0.4, 0.5, 9), moved=12e9, numel=10**9)
    copy = replace(record.machine[0], ratio=Spread(0.456, 0.4, 0.5, 9), moved=8e9)
    reference = replace(record.reference, step_s=0.1 / 0.456)
    made = replace(record, reference=reference, machine=(copy,), rows=(record.rows[0], row))
    said = dict(zip(HEAD, cells(made, row), strict=True))
    assert (said["time"], said["quartiles"], said["bytes/param"]) == ("0.46", "0.40 to 0.50", "12")
    assert (said["GB/s"], said["of copy"]) == ("120.0", "150%")
    text = markdown(made, ["x.png"])
    assert "| SGD | 0.46 |" in text
    assert "`ValueError: a CUDA graph needs a GPU`" in text
    readme = "before\n<!-- results/a.json -->\nold\n<!-- end -->\nafter\n"
    assert rewrite(readme, "a.json", text).count("| SGD | 0.46 |") == 1
    assert rewrite(readme, "b.json", text) == readme


# ---------------------------------------------------------------- the command


def test_the_command_writes_draws_and_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("matplotlib", reason="pictures need matplotlib")
    words = ["bench", "SGD", "--against", "none", "--size", "1e4", "--rounds", "3", "--json"]
    assert main([*words, "--threads", "1", "--params", "flat", "--out", str(tmp_path)]) == 0
    (data,) = json.loads(capsys.readouterr().out)
    (path,) = tmp_path.glob("*.json")
    assert path.name == "cpu-flat-float32-SGD.json"
    assert asdict(read(path)) == asdict(from_data(data))
    assert main(["bench", "--report", str(path)]) == 0
    out = capsys.readouterr().out
    assert "The reference against itself" in out
    assert {p.name for p in tmp_path.glob("*.png")} == {
        "cpu-flat-float32-SGD-ratios.png", "cpu-flat-float32-SGD-roofline.png"
    }  # fmt: skip


@pytest.mark.parametrize("wrong", [["--params", "gpt3"], ["--against", "torhc"]])
def test_wrong_words_are_named(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "SGD", *wrong]) == 1
    assert f"`{wrong[1]}`; there are" in capsys.readouterr().err


# ---------------------------------------------------------------- what is committed

COMMITTED = sorted(path for path in RESULTS.glob("cpu-*.json"))


def test_the_readme_is_what_the_results_say() -> None:
    readme = README.read_text("utf-8")
    named = re.findall(r"<!-- results/(.*?) -->", readme)
    races = [name for name in named if name != "training.json"]
    assert races and set(races) <= {path.name for path in COMMITTED}
    for name in races:
        pictures = [f"results/{Path(name).stem}-{kind}.png" for kind in ("ratios", "roofline")]
        assert all((README.parent / picture).is_file() for picture in pictures)
        assert rewrite(readme, name, markdown(read(RESULTS / name), pictures)) == readme
    trained = json.loads((RESULTS / "training.json").read_text("utf-8"))
    assert "training.json" in named
    assert rewrite(readme, "training.json", training.markdown(trained)) == readme


def test_the_readme_s_prose_has_no_figures_of_its_own() -> None:
    prose = README.read_text("utf-8")
    for name in re.findall(r"<!-- results/(.*?) -->", prose):
        prose = block(name).sub("", prose)
    measured = r"\d+\.\d+|\d+ ?(?:x|ms|us|s|MB|GB/s|TB/s)\b"
    assert re.findall(measured, re.sub(r"`[^`]*`|^    .*$", "", prose, flags=re.MULTILINE)) == []


def test_the_table_has_every_prebuilt_optimizer() -> None:
    rows = {row.name: row for row in read(RESULTS / "cpu-gpt2-float32.json").ours}
    assert set(rows) == set(generated.__all__)
    assert all(isinstance(row, Row) and row.ratio.pairs >= 3 for row in rows.values())


# ---------------------------------------------------------------- bench-gpu


def test_bench_gpu_runs_from_a_checkout_that_is_not_installed(tmp_path: Path) -> None:
    """Without lark, jinja2 and matplotlib, and with the checkout under another name. (Sympy is
    wherever torch is: `torch.optim.Optimizer` loads it.)"""
    absent = tmp_path / "absent"
    for name in ("lark", "jinja2", "matplotlib"):
        (absent / name).mkdir(parents=True)
        (absent / name / "__init__.py").write_text("raise ImportError('not on this machine')\n")
    checkout = tmp_path / "some-folder"
    checkout.symlink_to(ROOT, target_is_directory=True)
    out = tmp_path / "gpu.json"
    words = ["--device", "cpu", "--tiny", "--only", "small tensors", "--out", str(out)]
    done = subprocess.run(
        [sys.executable, "benchmarks/bare.py", "stepc.benchmarks.gpu", *words],
        cwd=checkout, capture_output=True, text=True,
        env=os.environ | {"PYTHONPATH": str(absent)},
    )  # fmt: skip
    assert out.is_file(), done.stderr
    found = json.loads(out.read_text("utf-8"))
    ((_, section),) = found["sections"].items()
    assert "left_out" not in section, section
    assert [row["name"] for row in section["rows"]] == [str(REFERENCE), "AdamW"]
    assert {f["message"] for f in section["failures"]} == {"ValueError: a CUDA graph needs a GPU"}
    assert found["summary"] == {}  # a toy's figures are not figures
    assert found["tests"]["passed"], found["tests"]
    assert done.returncode == 0
