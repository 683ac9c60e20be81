"""The actors of the example: a root that receives blocks, and the children that execute them.

The root's heap holds the Ethereum state (see state.py). A block's transactions are executed in one of two ways, with the
same outcome.

    in order    one child has the state, mounted by reference, with the block beside it; it executes the transactions
                there, and the root merges its changes.
    in groups   each group of transactions (grouping.py) is a child that has the state as it is before the first of
                them; it executes its own, and tells for each what it observed and did (effects.py). The root merges
                that in the block's order, executing again what observed something that is not so (merging.py).

A block that may not be (a wrong nonce, say) fails a child, or the merge, and so the root: it is not made, and the head
stays. No child outlives its block, so the state's root is the same whichever way, and for any number of groups.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from actors import Process, Region, Root

from .deep_stack import on_deep_stack
from .effects import Effect, Refused, Runner
from .evm import BlockEnv, Result, close_block, execute, open_block, run_block
from .forks import FORK_STARTS
from .grouping import groups_of, senders_of, worth
from .merging import Merge, transactions_root
from .state import STATE_PREFIX
from .transactions import is_formed

if TYPE_CHECKING:
    from collections.abc import Sequence

STATE = Region(STATE_PREFIX)


class Executor(Process):
    """Executes the block in the region "block" on the state in the region "state"."""

    placement = "worker"
    #: The interpreter needs a deep stack, and that takes a thread, which is waited for; and its modules are loaded anew
    #: for each fork that blocks are of (see forks.py).
    lifted = ("imports", "interpreter", "threads")

    async def run(self) -> None:
        block = dict(self.heap.items("block"))
        if partial(block):
            env = BlockEnv.of(block)
            open_block(self.heap, env)
            result = execute(self.heap, env, block["transactions"], receipts=False)
        else:
            result = run_block(self.heap, block, receipts=False)
        self.heap["result"] = result.plain()[:5]


class Group(Process):
    """Executes the transactions under "transactions", (place in the block, transaction, sender) each; tells their effects.

    The state stays as it is: "effect", place is what the transaction at that place did, or None where it was refused.
    """

    placement = "worker"
    lifted = ("imports", "interpreter", "threads")

    async def run(self) -> None:
        effects = on_deep_stack(self._execute)
        self.heap.update({("effect", place): effect for place, effect in effects})

    def _execute(self) -> list[tuple[int, bytes | None]]:
        runner = Runner(self.heap, BlockEnv.of(dict(self.heap.items("block"))))
        effects: list[tuple[int, bytes | None]] = []
        for place, plain, sender in self.heap["transactions"]:
            try:
                effects.append((place, runner.run(place, plain, ahead_of=sender).pack()))
            except (Refused, LookupError):
                # It ran too early, or without what an earlier one does: in its place it will be seen.
                effects.append((place, None))
        return effects


class Chain(Root):
    """One Ethereum block for each block, in the form of evm.py, with these keys beside it:

    pre      entries that take the place of the whole state first. A block that has nothing else is that alone.
    partial  the state is a part of a chain's, so what the rules pay at a block's end is left out; so with "pre".
    groups   in how many groups to execute the transactions: 0 for what seems best. In order, when absent.
    senders  the transactions' senders, where somebody knows them: no more than a hint for the grouping.
    """

    lifted = ("imports", "interpreter", "threads")

    async def run(self) -> dict[str, Any]:
        heap = self.heap
        if ("block", "pre") in heap:
            heap.clear(STATE)
            heap.update(heap["block", "pre"])
        if ("block", "transactions") not in heap:
            return {"entries": heap.count(STATE)}
        block = dict(heap.items("block"))
        wanted = heap.pop(("block", "groups"), None)
        senders = () if wanted is None else _senders(block)
        groups = _groups(block, senders, wanted) if senders else None
        if groups is None:
            # The way to a worker and back costs something, and in order there is nothing to win by it.
            result, again = await self._in_order("worker" if wanted is None else "loop"), 0
        else:
            result, again = await self._in_groups(block, senders, groups)
        return {
            "number": block["number"],
            "gas used": result.gas_used,
            "blob gas used": result.blob_gas_used,
            "transactions root": result.transactions_root,
            "receipts root": result.receipts_root,
            "logs bloom": result.logs_bloom,
            "groups": 1 if groups is None else len(groups),
            "executed again": again,
        }

    async def _in_order(self, placement: Any) -> Result:
        given = {"state": self.heap.region(STATE), "block": self.heap.region("block")}
        await self.put("executor", given, program=Executor, start=True, placement=placement)
        await self.merge("executor", region=STATE)
        result = Result._make((*await self.get("executor", "result"), ()))
        await self.drop("executor")
        return result

    async def _in_groups(
        self, block: dict[str, Any], senders: Sequence[bytes], groups: Sequence[Sequence[int]]
    ) -> tuple[Result, int]:
        env = BlockEnv.of(block)
        transactions = block["transactions"]
        open_block(self.heap, env)
        given: dict[Any, Any] = {
            ("block", name): block[name] for name in BlockEnv.__dataclass_fields__ if name in block
        }
        given["state"] = self.heap.region(STATE)
        for number, places in enumerate(groups):
            given["transactions"] = tuple((place, transactions[place], senders[place]) for place in places)
            await self.put(number, given, program=Group, start=True)
        # While the groups run: the first are the heaviest.
        listed = transactions_root(transactions)
        effects: list[Effect | None] = [None] * len(transactions)
        for number, places in enumerate(groups):
            found = await self.get(number, *[("effect", place) for place in places])
            for place, effect in zip(places, found if len(places) > 1 else (found,), strict=True):
                effects[place] = None if effect is None else Effect.unpack(effect)
            await self.drop(number)
        merge = Merge(self.heap, env, transactions, groups, effects)
        on_deep_stack(merge.run)
        merge.state.write(self.heap)
        if not partial(block):
            close_block(self.heap, env, ommers=block.get("ommers", ()), withdrawals=block.get("withdrawals", ()))
        return merge.result(listed), len(merge.again)


def _senders(block: dict[str, Any]) -> Sequence[bytes]:
    """The transactions' senders; none where the transactions cannot be executed but in order, which tells why."""
    transactions = block["transactions"]
    if not all(map(is_formed, transactions)):
        return ()
    known: Sequence[bytes] = block.get("senders", ())
    return known if len(known) == len(transactions) else senders_of(BlockEnv.of(block), transactions)


def _groups(block: dict[str, Any], senders: Sequence[bytes], wanted: int) -> Sequence[Sequence[int]] | None:
    """The groups of a block; None: it is to be executed in order."""
    if type(wanted) is not int or wanted < 0:
        raise ValueError(f"groups is {wanted!r}; it is how many there are to be, or 0 for what seems best")
    names = list(FORK_STARTS)
    rooted = not partial(block) and names.index(BlockEnv.of(block).rules) < names.index("byzantium")
    if wanted == 1 or rooted:  # receipts contain the state's root behind each transaction
        return None
    transactions = block["transactions"]
    groups = groups_of(transactions, senders, wanted)
    return groups if wanted or worth(transactions, groups) else None


def partial(block: dict[str, Any]) -> bool:
    """Whether the state that the block stands on is a part of its chain's."""
    return "pre" in block or bool(block.get("partial"))
