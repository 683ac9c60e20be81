"""Transfers between accounts by `transact` on two workers, against the plain loop that does them one after the other.

    python tests/benchmarks/ordered.py [--rounds N] [--accounts A …] [--transfers T …] [--workers N]

A transfer is a hash loop of about a millisecond, and between two accounts that are drawn at random. The loop has the balances
in a dict, and no framework; `transact` is measured from `advance` to the durable commit, with warm workers and a store.
Three ways to write a transfer: with hints (`touches`), without, and with balances as sums (`add`, `at_least`), which leave
nothing to be in conflict. All in turns; the ratio is loop over transact, so the larger the better, round by round. What is
made is compared with what the loop made. Beside it, as "bare": two bare processes that do the work alone, half each.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import random
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

from turns import spread

import runtime
from actors import Root, Transaction

ROUNDS_OF_HASH = 3_200
BALANCE = 1_000_000

#: accounts → the bar for `hinted`, and for `sums`.
BARS = {2: (0.9, 0.9), 10: (0.9, 1.6), 100: (1.3, 1.6), 1_000: (0.9, 1.6), 10_000: (1.7, 1.6)}


def work(number: int) -> bytes:
    digest = number.to_bytes(8, "big")
    for _ in range(ROUNDS_OF_HASH):
        digest = sha256(digest).digest()
    return digest


class Blind(Transaction):
    def apply(self, heap: Any, transaction: Any) -> Any:
        sender, receiver, amount = transaction
        work(amount)
        if heap[sender] < amount:
            raise ValueError
        heap[sender] -= amount
        heap[receiver] += amount


class Hinted(Blind):
    def touches(self, transaction: Any) -> Any:
        return transaction[:2]


class Sums(Transaction):
    def apply(self, heap: Any, transaction: Any) -> Any:
        sender, receiver, amount = transaction
        work(amount)
        if not heap.at_least(sender, amount):
            raise ValueError
        heap.add(sender, -amount)
        heap.add(receiver, amount)

    def touches(self, transaction: Any) -> Any:
        return ()

    def adds_to(self, transaction: Any) -> Any:
        return transaction[:2]


PROGRAMS: dict[str, type[Transaction]] = {"hinted": Hinted, "sums": Sums, "blind": Blind}


class Bank(Root):
    async def run(self) -> Any:
        program = PROGRAMS[self.heap["block", "how"]]
        results = await self.transact(program, self.heap["block", "transfers"], region="account")
        return sum(result is not None for result in results)


def loop(balances: dict[int, int], transfers: list[tuple[int, int, int]]) -> None:
    for sender, receiver, amount in transfers:
        work(amount)
        if balances[sender] >= amount:
            balances[sender] -= amount
            balances[receiver] += amount


def drawn(accounts: int, count: int, seed: int) -> list[tuple[int, int, int]]:
    draw = random.Random(seed)
    return [(*draw.sample(range(accounts), 2), draw.randrange(1, 100)) for _ in range(count)]


def half(transfers: list[tuple[int, int, int]]) -> None:
    for *_, amount in transfers:
        work(amount)


def ceiling(pool: ProcessPoolExecutor, transfers: list[tuple[int, int, int]], workers: int) -> float:
    """How long as many bare processes take for the work alone: what the machine has to give in this moment."""
    begin = time.perf_counter()
    list(pool.map(half, [transfers[number::workers] for number in range(workers)]))
    return time.perf_counter() - begin


async def measure(accounts: int, count: int, rounds: int, workers: int, names: list[str]) -> None:
    figures: dict[str, list[float]] = {name: [] for name in [*names, "bare"]}
    balances = dict.fromkeys(range(accounts), BALANCE)
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(workers) as pool:
        genesis = {("account", number): BALANCE for number in range(accounts)}
        banks = {}
        for name in names:
            banks[name] = runtime.Runtime(Bank, store=Path(folder, name), genesis=genesis, workers=workers)
            await banks[name].__aenter__()
        for turn in range(rounds + 1):
            transfers = drawn(accounts, count if turn else min(count, 200), turn)
            begin = time.perf_counter()
            loop(balances, transfers)
            plain = time.perf_counter() - begin
            bare = ceiling(pool, transfers, workers)
            if turn:
                figures["bare"].append(plain / bare)
            for name, bank in banks.items():
                begin = time.perf_counter()
                await bank.advance({"how": name, "transfers": transfers})
                took = time.perf_counter() - begin
                if turn:
                    figures[name].append(plain / took)
        for bank in banks.values():
            assert dict(bank.state().heap.items("account")) == balances
            await bank.__aexit__(None, None, None)
    for name, ratios in figures.items():
        low, middle, high = spread(ratios)
        bar = {"hinted": BARS[accounts][0], "sums": BARS[accounts][1]}.get(name, "–") if accounts in BARS else "–"
        print(
            f"  {accounts:>6,} accounts, {count:>6,} transfers, {name:<6}: {middle:.2f}  ({low:.2f} – {high:.2f})   bar: {bar}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--accounts", type=int, nargs="*", default=[*BARS])
    parser.add_argument("--transfers", type=int, nargs="*", default=[1_000, 10_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--how", nargs="*", default=[*PROGRAMS], choices=[*PROGRAMS])
    options = parser.parse_args()
    gc.set_threshold(50_000, 20, 100)  # as runtime.run does
    begin = time.perf_counter()
    for number in range(200):
        work(number)
    print(f"a transfer's work: {(time.perf_counter() - begin) * 5:.2f} ms")
    with asyncio.Runner() as runner:
        for count in options.transfers:
            for accounts in options.accounts:
                runner.run(measure(accounts, count, options.rounds, options.workers, options.how))


if __name__ == "__main__":
    main()
