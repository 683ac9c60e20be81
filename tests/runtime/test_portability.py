"""A store that one Python version and hash seed has written is read, checked and gone on with by all others.

`portable.py` does that in a process of its own and prints a line for each block, old and new: its hash, its state root
made anew from the entries that are read, a digest of all that is read. The lines of all interpreters must be the same.
Which there are says `pythons` (tests/pythons.py).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import portable
import pytest
from pythons import VERSIONS, python_of, pythons

import actors

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = Path(portable.__file__)
PACKAGES = Path(actors.__file__).parent.parent
SEEDS = ("0", "1", "4294967295")

#: Blocks that the writer makes, and how far the readers go on.
WRITTEN, LAST = 4, 5


def begin(python: str, seed: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {
        **os.environ,
        "PYTHONHASHSEED": seed,
        "PYTHONPATH": str(PACKAGES),
        "PYTHONIOENCODING": "utf-8",
    }
    return subprocess.Popen(
        [python, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def lines(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out.splitlines()


def go_on(python: str, seed: str, store: Path, last: int) -> list[str]:
    return lines(begin(python, seed, str(SCRIPT), str(store / "a.db"), str(last)))


@pytest.fixture(scope="module", autouse=True)
def compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What the interpreters compile stands beside no source, and is there for the next one of that version."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("compiled")))
        yield


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What one interpreter prints that makes all blocks at once."""
    return go_on(sys.executable, "2", tmp_path_factory.mktemp("undisturbed"), LAST)


def test_the_hash_seeds_of_these_tests_give_other_orders_and_the_blocks_differ(undisturbed: list[str]) -> None:
    script = f"import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import portable; print(portable.orders())"
    said = [lines(process) for process in [begin(sys.executable, seed, "-c", script) for seed in SEEDS]]
    assert len({str(one) for one in said}) == len(SEEDS)
    assert len(undisturbed) == LAST + 1
    assert all(len(set(column)) == LAST + 1 for column in zip(*map(str.split, undisturbed), strict=True))


@pytest.mark.parametrize("seeds", [SEEDS[-1:], pytest.param(SEEDS, marks=pytest.mark.long)], ids=len)
@pytest.mark.parametrize("version", VERSIONS)
def test_a_store_is_read_and_gone_on_with_under_every_python_and_hash_seed(
    version: str, seeds: tuple[str, ...], undisturbed: list[str], tmp_path: Path
) -> None:
    writer = python_of(version)
    written = tmp_path / "written"
    written.mkdir()
    assert go_on(writer, "1", written, WRITTEN) == undisturbed[: WRITTEN + 1]
    readers = []
    for reader, python in pythons().items():
        for seed in seeds:
            store = tmp_path / f"{reader} {seed}"
            shutil.copytree(written, store)
            readers.append((reader, seed, begin(python, seed, str(SCRIPT), str(store / "a.db"), str(LAST))))
    found = [(reader, seed, lines(process)) for reader, seed, process in readers]
    assert [(reader, seed) for reader, seed, said in found if said != undisturbed] == []


def test_a_store_goes_from_hand_to_hand(undisturbed: list[str], tmp_path: Path) -> None:
    """The next blocks by another interpreter each time, under another hash seed."""
    hands = list(pythons().values())
    for turn, number in enumerate((1, 3, LAST)):
        said = go_on(hands[turn % len(hands)], str(turn), tmp_path, number)
        assert said == undisturbed[: number + 1]
