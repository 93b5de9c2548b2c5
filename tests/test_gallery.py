"""The gallery: LaTeX of small rules by hand, and that docs/gallery is what the specs say."""

from __future__ import annotations

from pathlib import Path

import pytest

from stepc.cli.dispatch import main
from stepc.cli.gallery import pages
from stepc.dsl.latex import equations, symbol
from stepc.dsl.library import catalogue
from stepc.dsl.load import load

GALLERY = Path(__file__).resolve().parent.parent / "docs/gallery"


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("beta1", r"\beta_{1}"),
        ("m", "m"),
        ("m_hat", r"\hat{m}"),
        ("rho_end", r"\rho_{\mathrm{end}}"),
        ("ns_steps", r"\mathrm{ns\_steps}"),
        ("agree", r"\mathrm{agree}"),
        ("newton_schulz.1.x", "x"),
        ("param", r"\theta"),
    ],
)
def test_symbol(name: str, shown: str) -> None:
    assert symbol(name) == shown


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("direction = lerp(m, grad, 1 - w)", r"w\,m + \left(1 - w\right)\,g"),
        ("direction = lerp(m, grad, w)", r"\left(1 - w\right)\,m + w\,g"),
        ("direction = (m + grad) * (m - grad)", r"\left(m + g\right)\,\left(m - g\right)"),
        ("direction = m - (grad - m)", r"m - \left(g - m\right)"),
        ("direction = -m^2", r"-{m}^{2}"),
        ("direction = (-m)^2", r"{\left(-m\right)}^{2}"),
        ("direction = m / (grad + 1)", r"\frac{m}{g + 1}"),
        (
            "direction = grad / (norm(grad) + 1e-6)",
            r"\frac{g}{\left\lVert g \right\rVert + 10^{-6}}",
        ),
        (
            "direction = where(m > 0, m, where(grad > 0, grad, 0))",
            r"\begin{cases} m & m > 0 \\ g & g > 0 \\ 0 & \text{otherwise} \end{cases}",
        ),
        (
            "direction = mean(grad, per rows) * m",
            r"\operatorname{mean}_{\text{rows}}\left(g\right)\,m",
        ),
    ],
)
def test_formula(rule: str, shown: str) -> None:
    spec = (
        "optimizer X:\n    hyper lr = 0.1 in [0, inf)\n    hyper w = 0.5 in [0, 1]\n"
        f"    state m: like param\n    update:\n        m = w * grad\n        {rule}\n"
    )
    assert rf"&d \leftarrow {shown}" in equations(load(spec))


def test_blocks_are_indented() -> None:
    lines = equations(load("RAdam"))
    at = next(k for k, line in enumerate(lines) if r"\textbf{otherwise:}" in line)
    assert lines[at + 1].startswith(r"&\quad d \leftarrow")


def test_pages_are_fresh() -> None:
    entries = catalogue()
    for name, text in pages(entries):
        assert (GALLERY / name).read_text(encoding="utf-8") == text, f"{name}: run `make gallery`"
    for entry in entries:
        assert entry.kind != "optimizer" or (GALLERY / f"{entry.name}.png").is_file(), entry.name


def test_command_draws(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gallery", "-o", str(tmp_path), "SignSGD"]) == 0
    assert (tmp_path / "SignSGD.png").stat().st_size > 1000
    assert "SignSGD" in (tmp_path / "sign.md").read_text()
    assert main(["gallery", "-o", str(tmp_path), "Nothing"]) == 1
    assert "Nothing" in capsys.readouterr().err
