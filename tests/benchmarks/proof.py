"""A proof of one key among a million: its size, what it costs to make and to check; and of many keys together.

    python tests/benchmarks/proof.py [--entries N] [--proofs N]

The entries are the accounts of `heap.py`: values of about 100 bytes under keys of 20, in the root's heap. To check is
all that somebody does who has the bytes of the proof and the state root: to read them, hash them and decode the value.
"""

from __future__ import annotations

import argparse
import random
import time

from heap import accounts, keys_of
from turns import spread

from actors import ABSENT, Key, Proof
from actors.freezing import freeze
from actors.heap import Heap
from actors.keys import encode_key
from actors.memory import Memory
from actors.prove import prove
from actors.tree import EMPTY, Tree
from actors.values import encode


def state_of(entries: int) -> Tree:
    """The state of a machine whose root has the accounts in its heap."""
    forms = ((encode_key(("accounts", key)), encode(freeze(record))) for key, record in accounts(entries))
    heap = Heap(Memory(EMPTY.update(forms)))
    heap["number"] = 1
    return Tree.assemble({b"p": encode(("the control value", 1, None))}, {b"h": heap.machine_memory.fold()})


def measure(state: Tree, what: str, questions: list[list[Key]], bars: tuple[str, str]) -> None:
    root = state.digest()
    sizes, making, checking = [], [], []
    for keys in questions:
        begin = time.perf_counter()
        data = prove(state, (), keys).to_bytes()
        made = time.perf_counter()
        proved = Proof.from_bytes(data).verify(root, (), *keys)
        checked = time.perf_counter()
        assert len(proved) == len(keys)
        sizes.append(float(len(data)))
        making.append((made - begin) * 1e6)
        checking.append((checked - made) * 1e6)
    print(f"  {what}")
    print(f"    size   {spread(sizes)[1]:10,.0f} bytes, at most {max(sizes):,.0f}{bars[0]}")
    for name, times, bar in (("make", making, ""), ("check", checking, bars[1])):
        low, middle, high = spread(times)
        print(f"    {name:<6} {middle:10,.0f} µs  ({low:,.0f} – {high:,.0f}){bar}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--proofs", type=int, default=1_000)
    given = parser.parse_args()
    state = state_of(given.entries)
    draw = random.Random(f"the proofs of {given.entries}")
    there: list[Key] = [
        ("accounts", key) for key in draw.sample(keys_of(given.entries), min(given.proofs, given.entries))
    ]
    absent: list[Key] = [("accounts", draw.randbytes(20)) for _ in range(given.proofs)]
    assert prove(state, (), absent[:1]).verify(state.digest()) == {absent[0]: ABSENT}
    print(f"{given.entries:,} entries, {given.proofs:,} proofs of each kind")
    bars = ("   bar: at most 4,096", "   bar: under 200 µs")
    measure(state, "one key", [[key] for key in there], bars)
    measure(state, "one absent key", [[key] for key in absent], bars)
    for count in (10, 100):
        groups = [draw.sample(there, count) for _ in range(max(1, given.proofs // count))]
        measure(state, f"{count} keys in one proof", groups, ("", ""))


if __name__ == "__main__":
    main()
