"""The same programs in fresh interpreters give the same blocks, whatever the hash seed and the Python version.

`programs.main` reads chains of blocks as literals and prints the hash of every block, and the error of every block that
failed. A block's hash covers the inputs, the data and the state root, and so everything that any process saw.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from programs import chain
from pythons import VERSIONS, python_of

import actors

_HERE = Path(__file__).parent
_PACKAGES = Path(actors.__file__).parent.parent
_CHAINS = "\n".join(repr(chain(random.Random(seed).choice)) for seed in range(60))


def fresh(python: str, hash_seed: str) -> list[str]:
    """Run the chains in a fresh interpreter and return what it prints."""
    environment = {
        **os.environ,
        "PYTHONHASHSEED": hash_seed,
        "PYTHONPATH": os.pathsep.join([str(_PACKAGES), str(_HERE)]),
    }
    done = subprocess.run(
        [python, "-c", "import programs; programs.main()"],
        input=_CHAINS,
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def expected() -> list[str]:
    return fresh(sys.executable, "0")


def test_the_chains_of_these_tests_make_blocks_and_failures_enough_to_differ_in(expected: list[str]) -> None:
    said = " ".join(expected).split()
    assert len(expected) == 60
    assert sum(len(word) == 64 for word in said) > 100
    assert len({word for word in said if len(word) != 64}) > 3


@pytest.mark.parametrize("hash_seed", ["1", "2", "3", "4294967295"])
def test_another_hash_seed_gives_the_same_blocks(expected: list[str], hash_seed: str) -> None:
    assert fresh(sys.executable, hash_seed) == expected


@pytest.mark.parametrize("version", VERSIONS)
def test_another_python_version_gives_the_same_blocks(expected: list[str], version: str) -> None:
    assert fresh(python_of(version), "7") == expected
