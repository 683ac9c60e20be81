"""Determinator's benchmarks: right results, equal to the bit wherever what runs."""

from __future__ import annotations

import subprocess
import sys
from hashlib import md5 as md5_of
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest

pytest.importorskip("numpy", reason="pip install 'lockstep-actors[numpy]'")
sys.path.append(str(Path(__file__).parents[1] / "runtime"))

import numpy as np
from ways import every_way

from examples.determinator import blackscholes, fft, lu, lu_scattered, matmul, md5, quicksort
from examples.determinator.comparing import WORKLOADS, Machine, equal, flat, near
from examples.determinator.workload import PARTS, told

if TYPE_CHECKING:
    from examples.determinator.workload import Workload

SMALL = {"md5": 200, "matmul": 24, "quicksort": 300, "blackscholes": 80, "fft": 16, "lu": 24, "lu_scattered": 24}


class Here:
    """An executor that does at once what it is handed."""

    def submit(self, function: Any, *args: Any) -> Any:
        result = function(*args)
        return type("Done", (), {"result": lambda self: result})()


@pytest.fixture(params=WORKLOADS)
def workload(request: pytest.FixtureRequest) -> Workload:
    return WORKLOADS[request.param]


async def solved(workload: Workload, problem: dict[str, Any], workers: int) -> list[Any]:
    async with Machine(workload, workers) as machine:
        await machine.tell(problem)
        return await machine.solve()


async def test_results_are_equal_to_the_bit_on_any_number_of_workers(workload: Workload) -> None:
    problem = workload.problem(SMALL[workload.name], 7)
    pooled = workload.pooled(Here(), problem)
    for workers in range(4):
        assert equal(await solved(workload, problem, workers), pooled), workers
    assert near(pooled, workload.sequential(problem))


@patch("examples.determinator.workload._INPUT_BYTES", 1_000)
async def test_one_machine_is_told_problems_in_pieces_and_solves_one_after_the_other(workload: Workload) -> None:
    async with Machine(workload, 2) as machine:
        for seed, size in ((1, SMALL[workload.name]), (2, 2 * SMALL[workload.name]), (3, SMALL[workload.name])):
            problem = workload.problem(workload.fit(size), seed)
            await machine.tell(problem)
            assert equal(await machine.solve(), workload.pooled(Here(), problem))


def test_a_size_fits_and_the_next_one_is_not_smaller(workload: Workload) -> None:
    sizes = [workload.fit(size) for size in range(1, 100)]
    assert sizes == sorted(sizes)
    assert all(workload.fit(size) == size for size in sizes)
    assert {workload.fit(workload.coarse), workload.fit(workload.fine)} == {workload.coarse, workload.fine}


@pytest.mark.parametrize("name", ["quicksort", "lu"])
async def test_in_every_way_of_running(name: str) -> None:
    workload = WORKLOADS[name]
    placed = {"quicksort": quicksort.Sort, "lu": lu.Columns}[name]
    inputs = [*told(workload.problem(SMALL[name], 3)), {"solve": True}]
    with patch.object(lu.Columns, "placement", "loop"):
        await every_way(workload.program, inputs, placed)


def test_md5_finds_the_number() -> None:
    given = md5.problem(100, 5)
    assert md5.sequential(given) == [99]
    assert given["digest"] == md5_of(b"5 99").hexdigest()


def test_matmul_multiplies() -> None:
    given = matmul.problem(16, 1)
    (product,) = matmul.sequential(given)
    assert product.tolist() == [
        [sum(int(x) * int(y) for x, y in zip(row, column, strict=True)) for column in given["b"].T]
        for row in given["a"]
    ]


@pytest.mark.parametrize("numbers", [[], [1], [2, 1], [3, 3, 3, 3], [5, 1, 4, 1, 5, 9, 2, 6], [*range(50, 0, -1)]])
def test_quicksort_sorts(numbers: list[int]) -> None:
    assert quicksort.quicksort(numbers.copy()) == sorted(numbers)
    given = {"numbers": np.array(numbers, dtype="i8")}
    assert flat(quicksort.pooled(Here(), given)).tolist() == sorted(numbers)


def test_quicksort_s_parts_are_of_about_one_size() -> None:
    pieces = quicksort.pooled(Here(), quicksort.problem(80_000, 1))
    assert len(pieces) == PARTS
    assert max(map(len, pieces)) < 2 * 80_000 / PARTS


def test_blackscholes_price_is_that_of_the_formula() -> None:
    from statistics import NormalDist

    normal = NormalDist().cdf
    share, strike, interest, volatility, years = row = (100.0, 95.0, 0.05, 0.2, 0.5)
    low = 0.75 * share
    d = (np.log(low / strike) + (interest + volatility**2 / 2) * years) / (volatility * years**0.5)
    least = low * normal(d) - strike * np.exp(-interest * years) * normal(d - volatility * years**0.5)
    assert blackscholes.price(np.array([row])) == pytest.approx(least, abs=1e-5)


def test_fft_is_the_discrete_fourier_transform() -> None:
    given = fft.problem(32, 1)
    (square,) = fft.sequential(given)
    assert np.allclose(square.T.ravel(), np.fft.fft(given["points"].ravel()))


def test_both_lus_factors_multiply_to_the_matrix() -> None:
    given = lu.problem(32, 1)
    columns = lu.sequential(given)
    size = 32 // PARTS
    blocks = [np.reshape(piece, (-1, size, size)) for piece in columns]
    by_column = np.concatenate(blocks).reshape(PARTS, PARTS, size, size)
    factors = np.block([[by_column[column, row] for column in range(PARTS)] for row in range(PARTS)])
    lower, upper = np.tril(factors, -1) + np.eye(32), np.triu(factors)
    assert np.allclose(lower @ upper, given["a"])
    bands = lu_scattered.sequential(given)
    at, rows = 0, []
    for band in range(PARTS):
        rows.append(np.hstack(bands[at : at + band + 1]))
        at += band + 1
    assert np.allclose(np.vstack(rows), factors)


def test_the_command_compares_them() -> None:
    command = [sys.executable, "-m", "examples.determinator", "md5", "fft", "--size"]
    done = subprocess.run([*command, "9"], cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    _, *lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [["md5", "16"], ["fft", "16"]]
    assert all(line.endswith("   equal") for line in lines)
    for size in ("x", "0"):
        done = subprocess.run([*command, size], cwd=Path(__file__).parents[2], capture_output=True, text=True)
        assert done.returncode == 2
        assert "--size is coarse, fine or a number" in done.stderr
