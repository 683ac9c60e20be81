"""The modules as programs, and a root that runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from actors import ChildFailed, Root
from actors.wasm import WasmProcess
from actors.wasm.engine import from_text


class Counter(WasmProcess):
    module = "counter.wat"


class Token(WasmProcess):
    module = "token.wasm"


class Fan(WasmProcess):
    module = "fan.wasm"


class JavaScript(WasmProcess):
    """Runs the script under "script", once for each start; what it leaves in global variables is there at the next."""

    module = "javascript.wasm"


PROGRAMS: Final[dict[str, type[WasmProcess]]] = {
    "counter": Counter,
    "token": Token,
    "fan": Fan,
    "javascript": JavaScript,
    "guest": WasmProcess,
}


class Guests(Root):
    """Each block is {"child": name, "program": …, "put": {…}, "gas": …}: it is put, started, and waited for.

    The block's data is what stands under "get", or why the child failed.
    """

    async def run(self) -> Any:
        block = dict(self.heap.items("block"))
        child, gas = block["child"], block.get("gas")
        known = ("children", child) in self.heap
        if not known:
            self.heap["children", child] = block["program"]
            await self.put(child, program=PROGRAMS[block["program"]], placement=block.get("placement"))
        await self.put(child, block.get("put"), start=True, gas=gas)
        try:
            return await self.get(child, block["get"])
        except ChildFailed as failure:
            return "failed", failure.error


def counter_bytes() -> bytes:
    """Return the counter as a guest of others: a stranger's module is bytes."""
    return from_text((Path(__file__).parent / "counter.wat").read_text())
