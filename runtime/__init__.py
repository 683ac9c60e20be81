"""The machine of Lockstep: it runs processes, makes blocks of what they do, and keeps them.

    import runtime

    async def main():
        async with runtime.Runtime(Squares, store="squares.db") as rt:
            block = await rt.advance({"spans": [(0, 1000), (1000, 2000)]})
            print(block.number, block.data["total"], block.state_root.hex())

    runtime.run(main)

`actors` is the language that the programs are written in, and never imports this.
"""

from runtime.chain import Block
from runtime.difference import KeyDifference, ProcessDifference
from runtime.loop import run
from runtime.machine import Runtime
from runtime.prune import Pruned
from runtime.store import MemoryStore, SqliteStore, Store
from runtime.transfer import StreamRefused, Transferred, export_block, import_block
from runtime.view import ProcessView
from runtime.workers import InFlight

__all__ = [
    "Block",
    "InFlight",
    "KeyDifference",
    "MemoryStore",
    "ProcessDifference",
    "ProcessView",
    "Pruned",
    "Runtime",
    "SqliteStore",
    "Store",
    "StreamRefused",
    "Transferred",
    "export_block",
    "import_block",
    "run",
]
