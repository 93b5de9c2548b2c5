"""Options of the test run, the `.case` format, and the directory of test aids on the path.

pytest --update       rewrites the expected part of every .case file that is run, and docs/kernels.*
pytest --kernels      compiles every Triton kernel anew for test_kernels.py, for every target
pytest --product      every pair in test_codes.py and test_precision_product.py, not a rotation
pytest --fuzz 1000000 mutated texts for test_fuzz.py instead of 20000
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from exceptions import BY_ROUNDING, EXCEPTIONS

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

RULE = "\n----\n"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--programs", type=int, default=320, help="random specs to run in test_random.py"
    )
    parser.addoption("--update", action="store_true", help="rewrite what .case files expect")
    parser.addoption("--kernels", action="store_true", help="compile every Triton kernel anew")
    parser.addoption("--product", action="store_true", help="run whole products, not a rotation")
    parser.addoption("--fuzz", type=int, default=20_000, help="how many texts test_fuzz.py tries")


@dataclass(frozen=True)
class Case:
    """A .case file: what goes in, a line `----`, and what must come out."""

    path: Path
    update: bool

    @property
    def given(self) -> str:
        return self._parts()[0]

    def check(self, found: str) -> None:
        """Compare with what the file expects, or write it there (`--update`)."""
        given, expected = self._parts()
        if self.update:
            self.path.write_text(f"{given.rstrip()}{RULE}{found.rstrip()}\n", encoding="utf-8")
        else:
            assert found.rstrip() == expected.rstrip()

    def _parts(self) -> tuple[str, str]:
        given, _, expected = self.path.read_text(encoding="utf-8").partition(RULE)
        return given.rstrip("\n") + "\n", expected


@pytest.fixture
def case(request: pytest.FixtureRequest) -> Case:
    """The case whose path is the test's (indirect) parameter."""
    return Case(request.param, request.config.getoption("--update"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is known not to hold, with the reason."""
    for item in items:
        for reasons, strict in ((EXCEPTIONS, True), (BY_ROUNDING, False)):
            if item.name in reasons:
                item.add_marker(pytest.mark.xfail(reason=reasons[item.name], strict=strict))
