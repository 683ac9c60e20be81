"""The first program of the README: a sum of squares, one child a span."""

import runtime
from actors import Process, Root


class Square(Process):
    placement = "worker"  # CPU-bound: may run in a worker process

    async def run(self):
        lo, hi = self.heap["range"]
        self.heap["sum"] = sum(n * n for n in range(lo, hi))


class Squares(Root):
    async def run(self):  # once for every block
        spans = self.heap["block", "spans"]  # what the caller put into the region "block"
        for i, span in enumerate(spans):
            await self.put(i, {"range": span}, program=Square, start=True)
        total = self.heap.get("total", 0)
        for i, _ in enumerate(spans):
            total += await self.get(i, "sum")  # waits for child i, in this order, whoever ends first
        self.heap["total"] = total
        return {"total": total}  # SNAPSHOT: closes the block with this data


async def main():
    async with runtime.Runtime(Squares, store="squares.db") as rt:
        block = await rt.advance({"spans": [(0, 1000), (1000, 2000)]})
        print(block.number, block.data["total"], block.state_root.hex())


if __name__ == "__main__":
    runtime.run(main)
