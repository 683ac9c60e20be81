"""Gas is the same on every Python version and under every hash seed, and what it was when the table of costs was made."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import metered_gas
import pytest
from pythons import VERSIONS, python_of

import actors
from runtime.metering import COSTS_VERSION
from runtime.metering.costs import UNIT, WEIGHTS, ticks

PACKAGES = Path(actors.__file__).parent.parent
SEEDS = ("0", "1", "4294967295")

#: What the measured programs use with the first table of costs and n = 50 (fib: 20), and the corpus.
#: These numbers are part of the format: with others, COSTS_VERSION is another one too.
GOLDEN: dict[str, int] = {
    "fib": 21892,
    "nbody": 3108,
    "string": 155,
    "dict": 102,
    "object": 254,
    "comprehension": 7201,
    "tight": 101,
    "assignments": 7,
    "operators": 12,
    "displays": 4,
    "comprehensions": 70,
    "branches": 22,
    "patterns": 53,
    "exceptions": 18,
    "contexts": 21,
    "functions": 31,
    "generators": 17,
    "classes": 62,
    "imports": 5,
    "library": 24,
    "awaiting": 28,
    "sorting": 3158,
}


@pytest.fixture(scope="module")
def here() -> dict[str, Any]:
    return {"used": metered_gas.used(), "weights": metered_gas.weights()}


def test_gas_is_what_it_was_when_the_table_of_costs_was_made(here: dict[str, Any]) -> None:
    assert COSTS_VERSION == 1
    assert here["used"] == GOLDEN


@pytest.mark.parametrize("seeds", [SEEDS[-1:], pytest.param(SEEDS, marks=pytest.mark.long)], ids=len)
@pytest.mark.parametrize("version", VERSIONS)
def test_gas_is_the_same_under_every_python_and_hash_seed(
    version: str, seeds: tuple[str, ...], here: dict[str, Any]
) -> None:
    for seed in seeds:
        environment = {
            **os.environ,
            "PYTHONHASHSEED": seed,
            "PYTHONPATH": str(PACKAGES),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        done = subprocess.run(
            [python_of(version), metered_gas.__file__], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == here


def test_a_block_costs_a_tick_for_each_unit_that_was_begun_and_at_least_one() -> None:
    assert [ticks(weight) for weight in (0, 1, UNIT, UNIT + 1, 10 * UNIT)] == [1, 1, 1, 2, 10]
    assert all(weight > 0 for weight in WEIGHTS.values())
