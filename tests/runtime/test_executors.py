"""One suite for every executor that a runtime may be handed: the same blocks, the same traps, whoever runs them.

Those that are not installed are skipped, with the `pip install` that brings them. mpi4py's needs an MPI and `mpiexec`: it
takes part where this suite itself is run under `python -m mpi4py.futures`.
"""

from __future__ import annotations

import importlib
import importlib.util
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import pytest
from test_workers import HISTORY, made
from worker_programs import Everything

import runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def _threads() -> Any:
    return ThreadPoolExecutor(2)


def _processes() -> Any:
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


@contextmanager
def _loky() -> Iterator[Executor]:
    executor = importlib.import_module("loky").ProcessPoolExecutor(2)
    try:
        yield executor
    finally:
        executor.shutdown(wait=True, kill_workers=True)


@contextmanager
def _dask() -> Iterator[Executor]:
    distributed = importlib.import_module("distributed")
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, distributed.Client(cluster) as client:
        yield client.get_executor(pure=False)


EXECUTORS = {
    "threads": (_threads, None),
    "processes": (_processes, None),
    "loky": (_loky, "loky"),
    "dask": (_dask, "distributed"),
}


@pytest.fixture(scope="module", params=list(EXECUTORS))
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    make, module = EXECUTORS[request.param]
    if module is not None and importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install {module}")
    with make() as found:
        yield found


pytestmark = [
    # What these libraries warn of is theirs.
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning", "ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


async def test_the_blocks_are_those_of_the_loop(executor: Executor, tmp_path: Path) -> None:
    expected = await made(HISTORY, workers=0)
    assert await made(HISTORY, workers=2, executor=executor, store=tmp_path / "a.db") == expected
    assert await made(HISTORY, workers=2, executor=executor) == expected


async def test_equal_activations_of_other_processes_are_each_run(executor: Executor) -> None:
    async with runtime.Runtime(Everything, workers=2, executor=executor) as rt:
        found = (await rt.advance({"do": "where"})).data
        assert len(found) == 8


async def test_failures_and_their_tracebacks_come_back(executor: Executor) -> None:
    async with runtime.Runtime(Everything, workers=2, executor=executor) as rt:
        assert (await rt.advance({"do": "fail"})).data == ("failed", "/f", "Odd")
        assert (await rt.advance({"do": "point"})).data == (await _point())
        assert (await rt.advance({"do": "squares", "xs": [5]})).data == 25


async def _point() -> Any:
    async with runtime.Runtime(Everything, workers=0) as rt:
        return (await rt.advance({"do": "point"})).data


async def test_two_runtimes_share_one(executor: Executor) -> None:
    async with (
        runtime.Runtime(Everything, workers=2, executor=executor) as one,
        runtime.Runtime(Everything, workers=2, executor=executor) as other,
    ):
        for x in range(3):
            first = await one.advance({"do": "count", "x": x})
            second = await other.advance({"do": "count", "x": 2 * x})
            assert second.data[0] == 2 * first.data[0]
