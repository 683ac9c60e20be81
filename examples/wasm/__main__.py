"""Run the examples: python -m examples.wasm [--store PATH]. With a store, the script goes on where it was at the next run."""

from __future__ import annotations

import argparse
import pprint
from typing import Any

import runtime
from examples.wasm.programs import Guests, counter_bytes

#: A script that stops in the middle of a loop, in the middle of a function; each start is one turn of it.
STORY = """
let told = [];
function tell(line) { told.push(line); heap.set("told", told); ret(); }
for (const who of ["Ada", "Grace", "Barbara"])
  for (let n = 1; n <= 2; n++) tell(`${who} ${n}: ${heap.get("by")}`);
"""

GAS = 100_000_000

BLOCKS: list[dict[str, Any]] = [
    {"child": "counter", "program": "counter", "put": {"by": 5}, "get": "total"},
    {"child": "counter", "put": {"by": 6}, "get": "total"},
    {"child": "token", "program": "token", "put": {("balance", "ann"): 100}, "get": "transfers"},
    {"child": "token", "put": {"from": "ann", "to": "bob", "amount": 30}, "get": ("balance", "bob")},
    {"child": "token", "put": {"from": "bob", "to": "ann", "amount": 31}, "get": ("balance", "bob")},
    {"child": "fan", "program": "fan", "put": {"guest": counter_bytes(), "count": 4}, "get": "total"},
    {"child": "fan", "get": "total"},
    {"child": "story", "program": "javascript", "put": {"script": STORY, "by": "hello"}, "get": "told"},
]


async def tell(store: str | None) -> None:
    async with runtime.Runtime(Guests, store=store) as rt:
        if rt.head.number == 0:
            for block in BLOCKS:
                pprint.pprint((block["child"], (await rt.advance({**block, "gas": GAS})).data))
        for word in ("again", "and again"):
            told = await rt.advance({"child": "story", "put": {"by": word}, "get": "told", "gas": GAS})
            pprint.pprint(("story", told.data))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--store")
    runtime.run(lambda: tell(parser.parse_args().store))


if __name__ == "__main__":
    main()
