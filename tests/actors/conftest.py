"""What the tests of the language share: the flag that rewrites the golden vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rewrite-golden",
        action="store_true",
        help="write tests/actors/golden.json anew from what the code does now; read the difference in review",
    )
