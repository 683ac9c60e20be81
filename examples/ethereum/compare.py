"""Recorded blocks in order and in groups, in turns: are the results right, and what is won.

Both ways run on a chain of their own, each on disk, where the block's state is put in a block before it: in parallel,
workers read it there. So what is measured is all of `advance`, up to the durable commit. In order everything runs in
this process, on a state that it has in memory.

The first round warms both up, and is not counted: the package's modules, and what is kept of contracts' codes. A chain
remembers, though, what a process did that began in the same state; so in every round the state has an entry of its own
that no account sees.
"""

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

import runtime
from actors import Heap
from actors.memory import Memory

from .chain import Chain
from .deep_stack import on_deep_stack
from .effects import Effect, Runner
from .evm import BlockEnv, Result, open_block
from .merging import Merged
from .packs import Pack, Recorded, mismatches, post_digest
from .state import STATE_PREFIX
from .watched import ALIVE, BALANCE, NONCE, SLOTS

__all__ = ["Compared", "allowed", "compared", "result_of"]

#: What several transactions may change without undoing what the others did.
_SUMS: Final = (BALANCE, ALIVE, SLOTS)
_ACCOUNT_KEY_BYTES: Final = 21


class Compared(NamedTuple):
    """A block's figures."""

    number: int
    transactions: int
    #: Seconds, by round.
    in_order: list[float]
    in_groups: list[float]
    #: Into how many groups it was divided; 1: it was executed in order, as that seemed best.
    groups: int
    #: How many transactions were executed twice.
    again: int
    #: The speed-up that its dependencies allow.
    allowed: float
    #: What differs from the record, in either way.
    found: list[str]

    @property
    def speed_up(self) -> float:
        """By the shortest of each."""
        return min(self.in_order) / min(self.in_groups)


def result_of(data: Any) -> Result:
    """The result that a block's data tell."""
    return Result(
        gas_used=data["gas used"],
        blob_gas_used=data["blob gas used"],
        transactions_root=data["transactions root"],
        receipts_root=data["receipts root"],
        logs_bloom=data["logs bloom"],
        receipts=(),
    )


async def compared(
    pack: Pack, numbers: Sequence[int], folder: Path, *, workers: int, groups: int = 0, rounds: int = 2
) -> AsyncIterator[Compared]:
    """Execute blocks of a pack both ways, `rounds` times each.

    folder  where the chains' files may be made.
    groups  into how many; 0 for what seems best.
    """
    async with AsyncExitStack() as stack:
        chains = [
            (await stack.enter_async_context(runtime.Runtime(Chain, store=folder / name, workers=count)), more)
            for name, count, more in (("in_order.db", 0, {}), ("in_groups.db", workers, {"groups": groups}))
        ]
        for number in numbers:
            record = pack.block(number)
            seconds: tuple[list[float], list[float]] = [], []
            found: list[str] = []
            for turn in range(rounds + 1):
                for (chain, more), spent in zip(chains, seconds, strict=True):
                    await chain.advance({"pre": (*record.entries, ((*STATE_PREFIX, "turn"), turn))})
                    begin = time.perf_counter()
                    made = await chain.advance({**record.block, "partial": True, **more})
                    spent.append(time.perf_counter() - begin)
                    found += mismatches(record, result_of(made.data), post_digest(chain.state().heap))
            yield Compared(
                number=number,
                transactions=len(record.block["transactions"]),
                in_order=seconds[0][1:],
                in_groups=seconds[1][1:],
                groups=made.data["groups"],
                again=made.data["executed again"],
                allowed=allowed(record),
                found=found,
            )


def allowed(record: Recorded) -> float:
    """The speed-up that a block's dependencies allow, however many workers there are.

    All of the transactions' time, by that of the longest chain in which each observed what the one before it wrote. A
    sender's nonce counts as observed; what is only added to a balance, as fees are, does not.
    """
    heap = Heap(Memory())
    heap.update(record.entries)
    env = BlockEnv.of(record.block)
    open_block(heap, env)
    passes = [on_deep_stack(lambda: _timed(heap, env, record.block["transactions"])) for _ in range(2)]
    state = Merged(heap)
    behind: dict[bytes, float] = {}
    whole = longest = 0.0
    for (effect, one), (_, other) in zip(*passes, strict=True):
        seconds = min(one, other)
        waited = max((behind.get(key, 0.0) for key in {*effect.reads, effect.sender + NONCE}), default=0.0)
        done = waited + seconds
        for key in state.apply(effect):
            added = len(key) == _ACCOUNT_KEY_BYTES and key[-1:] in _SUMS
            behind[key] = max(done, behind.get(key, 0.0)) if added else done
        whole += seconds
        longest = max(longest, done)
    return whole / longest if longest else 1.0


def _timed(heap: Heap, env: BlockEnv, transactions: Sequence[Any]) -> list[tuple[Effect, float]]:
    runner = Runner(heap, env)
    timed = []
    for place, plain in enumerate(transactions):
        begin = time.perf_counter()
        effect = runner.run(place, plain)
        timed.append((effect, time.perf_counter() - begin))
    return timed
