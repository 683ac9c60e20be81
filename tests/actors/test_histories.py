"""Real write histories, as they are, turned back, branched and taken another way: one state has one root.

Two recorded histories of a key-value state of 100 blocks each, which begin from one genesis and so are two branches of
it (jamtestvectors): 21 to 140 entries of up to 116 kB, keys deleted and set again. The roots recorded with them are of
another scheme, but say which states are equal; the entries of each state, kept as plain dicts, say the rest.
"""

from __future__ import annotations

import dataclasses
import json
import lzma
import random
from typing import TYPE_CHECKING, Any

import pytest
from recorded import DATA, needs

from actors import ABSENT, Root
from actors.cells import from_cell
from actors.keys import encode_key
from actors.tree import EMPTY, Tree
from actors.values import decode, encode
from runtime import Runtime
from runtime.difference import difference

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from runtime.chain import Block

Entries = dict[bytes, bytes]
#: (key, value, or None to delete), in the order in which they are made.
Writes = list[tuple[bytes, bytes | None]]

FILES = ("jam_storage.json.xz", "jam_preimages.json.xz")
pytestmark = needs(*FILES)


@dataclasses.dataclass
class History:
    """One branch: what each block wrote, the state behind it, the root that was recorded; block 0 is the genesis."""

    writes: list[Writes]
    states: list[Entries]
    roots: list[str]
    trees: list[Tree]


def plain_bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def read(name: str) -> History:
    steps = json.loads(lzma.decompress((DATA / name).read_bytes()))
    genesis = {plain_bytes(key): plain_bytes(value) for key, value in steps[0]["init"].items()}
    history = History([list(genesis.items())], [genesis], [steps[0]["pre_root"]], [EMPTY.update(forms(genesis))])
    for step in steps:
        assert step["pre_root"] == history.roots[-1]
        writes: Writes = [(plain_bytes(key), plain_bytes(value)) for key, value in step["set"].items()]
        writes += [(plain_bytes(key), None) for key in step["del"]]
        history.writes.append(writes)
        history.states.append(after(history.states[-1], writes))
        history.roots.append(step["post_root"])
        history.trees.append(history.trees[-1].update(forms(dict(writes))))
    return history


def after(state: Entries, writes: Writes) -> Entries:
    made = dict(state)
    for key, value in writes:
        if value is None:
            made.pop(key, None)
        else:
            made[key] = value
    return made


def between(old: Entries, new: Entries) -> Writes:
    """The fewest writes that lead from one state to another."""
    gone: Writes = [(key, None) for key in old if key not in new]
    return gone + [(key, value) for key, value in new.items() if old.get(key) != value]


def differing(old: Entries, new: Entries) -> list[tuple[bytes, bytes | None, bytes | None]]:
    return [(key, old.get(key), new.get(key)) for key in sorted(old.keys() | new) if old.get(key) != new.get(key)]


def form(value: bytes | None) -> bytes | None:
    return None if value is None else encode(value)


def forms(writes: dict[bytes, bytes] | dict[bytes, bytes | None]) -> Writes:
    return [(key, form(value)) for key, value in writes.items()]


def content(tree: Tree) -> Entries:
    return {key: decode(from_cell(cell)) for key, cell in tree.entries()}


@pytest.fixture(scope="module")
def histories() -> list[History]:
    return [read(name) for name in FILES]


def test_the_recorded_histories_are_what_these_tests_take_them_for(histories: list[History]) -> None:
    one, other = histories
    assert one.states[0] == other.states[0]
    assert [len(history.states) for history in histories] == [101, 101]
    again = [
        key for writes, state in zip(one.writes[1:], one.states, strict=False) for key, _ in writes if key in state
    ]
    assert len(again) > 500
    assert sum(value is None for history in histories for writes in history.writes for _, value in writes) == 176
    assert max(len(value) for state in one.states for value in state.values()) > 100_000


# --- the tree ------------------------------------------------------------------------------------------------------


def test_two_states_have_one_root_where_the_recorded_roots_are_one_and_nowhere_else(histories: list[History]) -> None:
    ours: dict[str, set[bytes]] = {}
    for history in histories:
        for tree, state, root in zip(history.trees, history.states, history.roots, strict=True):
            assert content(tree) == state
            ours.setdefault(root, set()).add(tree.digest())
    assert all(len(digests) == 1 for digests in ours.values())
    assert len({next(iter(digests)) for digests in ours.values()}) == len(ours) == 201


def ways(histories: list[History], history: History, number: int, rng: random.Random) -> Iterator[tuple[str, Tree]]:
    """Make the state behind a block in many ways; yield what each is called and what it gives."""
    state = history.states[number]
    entries = forms(state)
    yield "sorted, at once", EMPTY.update(sorted(entries))
    rng.shuffle(entries)
    tree = EMPTY
    for entry in entries:
        tree = tree.update([entry])
    yield "one by one, shuffled", tree
    tree, rest = EMPTY, entries
    while rest:
        size = rng.randrange(1, 12)
        tree, rest = tree.update(rest[:size]), rest[size:]
    yield "in groups", tree
    early = rng.randrange(number + 1)
    joined = [(key, form(value)) for writes in history.writes[early + 1 : number + 1] for key, value in writes]
    yield f"the blocks from {early} as one", history.trees[early].update(joined)
    tree = history.trees[early]
    for write in joined:
        tree = tree.update([write])
    yield f"the blocks from {early}, write by write", tree
    other = rng.choice(histories)
    turn = rng.randrange(101)
    writes = forms(dict(between(other.states[turn], state)))
    rng.shuffle(writes)
    yield f"from block {turn} of a branch", other.trees[turn].update(writes)
    passing = rng.choice(rng.choice(histories).states)
    tree = history.trees[early].update((key, None) for key in history.states[early] if rng.random() < 0.5)
    tree = tree.update(forms(passing)).update((key, None) for key in passing if rng.random() < 0.7)
    yield "with what comes and goes in between", tree.update(forms(dict(between(content(tree), state))))
    whole = history.trees[number]
    at = rng.choice(sorted(state)) if rng.random() < 0.9 else b"\0"
    yield f"cut at {at.hex()} and joined", whole.cut(None, at).join(whole.cut(at, None))
    first = [bytes([n]) for n in range(256)]
    yield "region by region", EMPTY.graft_all({prefix: whole.extract(prefix) for prefix in first})
    prefix = at[:1]
    yield f"{prefix.hex()} out and in", whole.graft(prefix, EMPTY).graft(prefix, whole.extract(prefix))


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long), pytest.param(3, marks=pytest.mark.long)])
def test_a_state_has_one_root_by_whatever_way_it_was_made(histories: list[History], seed: int) -> None:
    rng = random.Random(seed)
    for history in histories:
        for number in range(0, 101, 1 if seed > 1 else 4):
            for way, tree in ways(histories, history, number, rng):
                assert tree.digest() == history.trees[number].digest(), (number, way)
                assert content(tree) == history.states[number], (number, way)
                tree.check()


@pytest.mark.parametrize("every", [13, pytest.param(1, marks=pytest.mark.long)])
def test_the_difference_of_two_states_is_that_of_their_entries(histories: list[History], every: int) -> None:
    behind = [(tree, state) for one in histories for tree, state in zip(one.trees, one.states, strict=True)]
    for one, mine in behind[::every]:
        for other, theirs in behind:
            assert [
                (key, None if a is None else from_cell(a), None if b is None else from_cell(b))
                for key, a, b in one.difference(other)
            ] == [(key, form(a), form(b)) for key, a, b in differing(mine, theirs)]


# --- the runtime ---------------------------------------------------------------------------------------------------


class State(Root):
    """Makes the writes that a block is given, one by one, and keeps nothing else."""

    async def run(self) -> int:
        writes = self.heap["block", "writes"]
        for key, value in writes:
            if value is None:
                del self.heap["state", key]
            else:
                self.heap["state", key] = value
        self.heap.clear("block")
        return len(writes)


def root_of(state: Entries) -> bytes:
    """The digest of a region of these entries, of an empty tree that they are put into."""
    return EMPTY.update((encode_key(key), encode(value)) for key, value in state.items()).digest()


def held(rt: Runtime, block: Block) -> Entries:
    return dict(rt.state(block).heap.items("state"))


def found_differences(rt: Runtime, old: Block, new: Block) -> list[tuple[Any, Any, Any]]:
    found = list(difference(rt.state(old)._state, rt.state(new)._state))
    assert all((one.path, one.kind, one.control) == ((), "changed", {}) for one in found)
    return [
        (key[1], *(None if side is ABSENT else side for side in sides)) for one in found for key, *sides in one.keys
    ]


def other_way(histories: list[History], old: Entries, new: Entries, rng: random.Random) -> Writes:
    """Writes from one state to another that are not the recorded ones: shuffled, with what comes and goes in between."""
    passing = rng.choice(rng.choice(histories).states)
    some = rng.sample(sorted(passing), min(9, len(passing)))
    writes: Writes = [(key, passing[key]) for key in some]
    middle = after(old, writes)
    gone: Writes = [(key, None) for key in sorted(middle) if key not in new or rng.random() < 0.1]
    rest = between(after(middle, gone), new)
    rng.shuffle(rest)
    return writes + gone + rest


@pytest.mark.parametrize("every", [9, pytest.param(1, marks=pytest.mark.long)])
async def test_a_history_is_reverted_to_every_block_and_goes_on_another_way_to_the_same_roots(
    histories: list[History], every: int, tmp_path: Path
) -> None:
    rng = random.Random(every)
    behind: dict[bytes, Entries] = {}
    main: list[list[Block]] = []
    async with Runtime(State, tmp_path / "a.db") as rt:

        async def advance(writes: Writes, state: Entries) -> Block:
            block = await rt.advance({"writes": writes})
            assert rt.state().heap.region("state").digest() == root_of(state)
            assert behind.setdefault(block.state_root, state) == state, "two states have one root"
            return block

        first = await advance(histories[0].writes[0], histories[0].states[0])
        for history in histories:
            blocks = [await rt.revert(first)]
            for writes, state in zip(history.writes[1:], history.states[1:], strict=True):
                blocks.append(await advance(writes, state))
            main.append(blocks)
        assert len(behind) == 201
        for number in range(0, 101, every):
            for history, blocks in zip(histories, main, strict=True):
                await rt.revert(blocks[number])
                assert held(rt, rt.head) == history.states[number]
                # The next blocks of this branch as one, in another order; then to some block of the other one, and back.
                branch = rng.randrange(2)
                turns = [
                    (history, blocks, min(100, number + rng.randrange(1, 5))),
                    (histories[branch], main[branch], rng.randrange(101)),
                    (history, blocks, number),
                ]
                at = history.states[number]
                for there, made, turn in turns:
                    state = there.states[turn]
                    block = await advance(other_way(histories, at, state, rng), state)
                    assert block.state_root == made[turn].state_root
                    assert block not in made
                    assert found_differences(rt, blocks[number], block) == differing(history.states[number], state)
                    at = state
        kept = {block.hash: block.state_root for block in rt.blocks(branches=True)}
    assert len(kept) == 1 + 201 + 2 * 3 * len(range(0, 101, every))
    async with Runtime(State, tmp_path / "a.db") as rt:
        await rt.revert(main[1][-1])
        assert await rt.verify(1 if every == 1 else 90) == rt.head.number + 1 - (1 if every == 1 else 90)
        for digest, root in rng.sample(sorted(kept.items()), 40 if every > 1 else len(kept)):
            block = rt.block(digest)
            assert block.state_root == root == rt.state(block).digest()
            assert held(rt, block) == behind.get(root, {})
            assert rt.state(block).heap.region("state").digest() == root_of(behind.get(root, {}))
        for one, other in [(rng.choice(main[0]), rng.choice(main[1])) for _ in range(20)]:
            assert found_differences(rt, one, other) == differing(behind[one.state_root], behind[other.state_root])
