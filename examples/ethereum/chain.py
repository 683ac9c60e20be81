"""The actors of the example: a root that receives blocks, and the child that executes them.

The root's heap holds the Ethereum state (see state.py). For each block it mounts that state, by reference, in the heap of
its child, with the block beside it; the child executes the transactions there and writes what they gave; the root merges
the child's changes to the state into its own heap, and closes the block. A block that may not be (a wrong nonce, say)
fails the child, and so the root: it is not made, and the head stays.
"""

from __future__ import annotations

from typing import Any

from actors import Process, Region, Root

from .evm import BlockEnv, execute, open_block, run_block
from .state import STATE_PREFIX

STATE = Region(STATE_PREFIX)


class Executor(Process):
    """Executes the block in the region "block" on the state in the region "state"."""

    placement = "worker"

    async def run(self) -> None:
        block = dict(self.heap.items("block"))
        if "pre" in block:
            # A recorded block: the state is a part of the chain's, so what the rules pay at its end is left out.
            env = BlockEnv.of(block)
            open_block(self.heap, env)
            result = execute(self.heap, env, block["transactions"])
        else:
            result = run_block(self.heap, block)
        self.heap["result"] = result.plain()[:5]


class Chain(Root):
    """One Ethereum block for each block. With "pre" in it, the block begins on those entries instead of the last state."""

    async def run(self) -> dict[str, Any]:
        if ("block", "pre") in self.heap:
            self.heap.clear(STATE)
            self.heap.update(self.heap["block", "pre"])
        given = {"state": self.heap.region(STATE), "block": self.heap.region("block")}
        await self.put("executor", given, program=Executor, start=True)
        changes = await self.merge("executor", region=STATE)
        gas_used, blob_gas_used, transactions_root, receipts_root, logs_bloom = await self.get("executor", "result")
        return {
            "number": self.heap["block", "number"],
            "gas used": gas_used,
            "blob gas used": blob_gas_used,
            "transactions root": transactions_root,
            "receipts root": receipts_root,
            "logs bloom": logs_bloom,
            "changed": len(changes),
        }
