"""One PUT + start + RET + GET with one key each way, child on the event loop, beside its peers.

    python tests/benchmarks/exchange.py [--rounds N]

Peers: a pair of asyncio.Queues with a task behind them, a Pykka actor asked; Ray and Dask actors where they are
installed (`pip install 'ray' 'distributed'`). Each contestant makes its exchanges in a loop of its own kind; what is
printed is the time of one.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib.util
import time
from typing import Any

import pykka
import uvloop
from turns import in_turns, ratio, report

import runtime
from actors import Process, Root

EXCHANGES = 5_000


class Echo(Process):
    async def run(self) -> None:
        self.heap["y"] = self.heap["x"] + 1


class Caller(Root):
    lifted = ("clock",)

    async def run(self) -> Any:
        await self.put("echo", program=Echo)
        begin = time.perf_counter()
        for i in range(EXCHANGES):
            await self.put("echo", {"x": i}, start=True)
            assert await self.get("echo", "y") == i + 1
        # A clock inside a program: what it says must not go into the state, so it goes out by the side.
        measured.append((time.perf_counter() - begin) / EXCHANGES)


measured: list[float] = []


async def lockstep() -> float:
    async with runtime.Runtime(Caller) as rt:
        await rt.advance()
    return measured.pop()


async def queues() -> float:
    there: asyncio.Queue[int] = asyncio.Queue()
    back: asyncio.Queue[int] = asyncio.Queue()

    async def echo() -> None:
        while True:
            await back.put(await there.get() + 1)

    task = asyncio.create_task(echo())
    begin = time.perf_counter()
    for i in range(EXCHANGES):
        await there.put(i)
        assert await back.get() == i + 1
    taken = (time.perf_counter() - begin) / EXCHANGES
    task.cancel()
    return taken


def pykka_ask() -> float:
    class Echoing(pykka.ThreadingActor):
        def on_receive(self, message: Any) -> Any:
            return message + 1

    actor = Echoing.start()
    count = EXCHANGES // 10
    begin = time.perf_counter()
    for i in range(count):
        assert actor.ask(i) == i + 1
    taken = (time.perf_counter() - begin) / count
    actor.stop()
    return taken


def ray_call() -> Any:
    import ray

    ray.init(num_cpus=1, include_dashboard=False, logging_level="error")

    @ray.remote
    class Echoing:
        def echo(self, x: int) -> int:
            return x + 1

    actor = Echoing.remote()

    def measure() -> float:
        begin = time.perf_counter()
        for i in range(100):
            assert ray.get(actor.echo.remote(i)) == i + 1
        return (time.perf_counter() - begin) / 100

    return measure


class DaskEcho:
    def echo(self, x: int) -> int:
        return x + 1


def dask_call() -> Any:
    from distributed import Client

    client = Client(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None)
    actor = client.submit(DaskEcho, actor=True).result()

    def measure() -> float:
        begin = time.perf_counter()
        for i in range(100):
            assert actor.echo(i).result() == i + 1
        return (time.perf_counter() - begin) / 100

    return measure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    gc.set_threshold(50_000, 20, 100)
    contestants: dict[str, Any] = {
        "lockstep (asyncio)": lambda: asyncio.run(lockstep()),
        "Queue pair (asyncio)": lambda: asyncio.run(queues()),
        "lockstep (uvloop)": lambda: uvloop.run(lockstep()),
        "Queue pair (uvloop)": lambda: uvloop.run(queues()),
        "Pykka ask": pykka_ask,
    }
    for name, module, make in (("Ray actor", "ray", ray_call), ("Dask actor", "distributed", dask_call)):
        if importlib.util.find_spec(module) is None:
            print(f"{name}: not installed, left out (pip install {module})")
        else:
            contestants[name] = make()
    figures = in_turns(contestants, rounds)
    report(figures, "µs", 1e6)
    ratio(figures, "lockstep (asyncio)", "Queue pair (asyncio)", "at most 1.0")
    ratio(figures, "lockstep (uvloop)", "Queue pair (uvloop)", "at most 1.0")
    ratio(figures, "Pykka ask", "lockstep (uvloop)", "at least 6")
    for name in ("Ray actor", "Dask actor"):
        if name in figures:
            ratio(figures, name, "lockstep (uvloop)", "at least 50")


if __name__ == "__main__":
    main()
