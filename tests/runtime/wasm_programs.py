"""WebAssembly processes and their parents for the tests of the runtime."""

from __future__ import annotations

from typing import Any

from wasm_texts import ADDER, BURNER, PAINTER

from actors import ChildFailed, MergeConflict, Region, Root
from actors.wasm import WasmProcess
from actors.wasm.engine import from_text


class Adder(WasmProcess):
    module = ADDER


class AdderOnWorker(Adder):
    placement = "worker"


class Painter(WasmProcess):
    """Fills the 16 KiB of its memory from "at"·1024 on with a byte, "by"."""

    module = PAINTER


class Burner(WasmProcess):
    """Loops as often as "by" says, in millions."""

    module = BURNER
    placement = "worker"


class Parent(Root):
    """Does what the block says."""

    async def run(self) -> Any:
        return await getattr(self, "do_" + self.heap["block", "do"])()

    async def do_add(self) -> Any:
        """Add to one adder for each number, on the loop or on workers; sum what they say."""
        program = AdderOnWorker if self.heap.get(("block", "worker"), False) else Adder
        gas = self.heap.get(("block", "gas"))
        for name, by in enumerate(self.heap["block", "by"]):
            if ("known", name) not in self.heap:
                await self.put(name, program=program)
                self.heap["known", name] = True
            await self.put(name, {"by": by}, start=True, gas=gas)
        out = []
        for name, _ in enumerate(self.heap["block", "by"]):
            try:
                out.append(await self.get(name, "y"))
            except ChildFailed as failure:
                out.append((failure.code, failure.error, failure.gas))
        return tuple(out)

    async def do_changes(self) -> Any:
        """Tell which pages an activation changed."""
        await self.put("one", {"by": 1}, program=Adder, start=True)
        await self.get("one", "y")
        await self.put("one", {"by": 2}, start=True)
        return tuple([change.key for change in await self.get("one")])

    async def do_fork(self) -> Any:
        """Fork an image twice, let both paint, merge the pages, and hand the image on."""
        await self.put("first", {"at": 0, "by": 1}, program=Painter, start=True)
        image = await self.get("first", Region())
        for key in ("memory", "wasm", "module"):
            self.heap.clear(key)
        for key, value in image.items():
            self.heap[key] = value
        for name, at in (("left", 0), ("right", self.heap["block", "at"])):
            await self.put(name, self.heap.region(), program=Painter)
            await self.put(name, {"at": at, "by": 7 + at}, start=True)
        try:
            for name in ("left", "right"):
                await self.merge(name, region="memory")
        except MergeConflict as conflict:
            return tuple([key for key, *_ in conflict.conflicts])
        return tuple([self.heap.get(("memory", n), b"\0")[0] for n in range(8)])

    async def do_guest(self) -> Any:
        """Run a module that came with the block."""
        name = self.heap["block", "name"]
        values = self.heap["block", "put"]
        gas = self.heap.get(("block", "gas"))
        where = self.heap.get(("block", "placement"))
        await self.put(name, values, program=WasmProcess, start=True, gas=gas, placement=where)
        trap = await self.status(name)
        return trap.kind.name, trap.error, trap.gas

    async def do_retry(self) -> Any:
        """Let a guest fail, look at why, mend it, and start it again."""
        await self.put("guest", {"by": 1, "module": b"no module"}, program=WasmProcess, start=True)
        first = await self.status("guest")
        await self.put("guest", {"module": from_text(ADDER)}, start=True)
        return first.error, await self.get("guest", "y")

    async def do_burn(self) -> Any:
        for name in range(self.heap["block", "count"]):
            await self.put(name, {"by": self.heap["block", "by"]}, program=Burner, start=True)
        return tuple([await self.get(name, "y") for name in range(self.heap["block", "count"])])
