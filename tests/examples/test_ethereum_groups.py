"""examples/ethereum in groups: the same as in order and as the unmodified package, for any number of groups and workers;
and merges that are broken on purpose, with the checks that see it.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("ethereum", reason="pip install 'lockstep-actors[ethereum]'")

from ethereum.crypto.hash import keccak256
from recorded import DATA, needs

from actors import BlockFailed
from examples.ethereum import chain, merging
from examples.ethereum.chain import STATE, Chain
from examples.ethereum.compare import result_of
from examples.ethereum.contract import assemble, runtime_code
from examples.ethereum.effects import Effect
from examples.ethereum.forks import installed_fork
from examples.ethereum.merging import Merge, Merged
from examples.ethereum.packs import Pack, mismatches, post_digest
from examples.ethereum.reference import reference
from examples.ethereum.roots import state_root
from examples.ethereum.signed import BASE_FEE_WEI, Sender, sender_entries, senders, sign, signed_blocks
from examples.ethereum.state import STATE_PREFIX, HeapState
from examples.ethereum.watched import WatchedState
from runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from examples.ethereum.evm import Block

PACK = DATA / "mainnet_dev.json.xz"
needs_pack = needs(PACK.name)


def failed(data: Any, heap: Any, theirs: Any) -> set[str]:
    """The checks that a block does not pass."""
    expected = {key: value for key, value in theirs.entries().items() if key[1] != "code"}
    got = {(*STATE_PREFIX, *key): value for key, value in heap.items(STATE) if key[0] != "code"}
    result = result_of(data)
    return {
        name
        for name, one, other in (
            ("gas used", theirs.result.gas_used, result.gas_used),
            ("transactions root", theirs.result.transactions_root, result.transactions_root),
            ("receipts root", theirs.result.receipts_root, result.receipts_root),
            ("logs bloom", theirs.result.logs_bloom, result.logs_bloom),
            ("state", expected, got),
            ("state root", theirs.state_root, state_root(heap)),
        )
        if one != other
    }


# --- signed blocks, against the unmodified package ---


@pytest.mark.parametrize(
    "fork", [*(pytest.param(fork, marks=pytest.mark.long) for fork in ("byzantium", "london")), "cancun"]
)
async def test_signed_blocks_in_groups_are_as_the_package_has_them(fork: str, tmp_path: Path) -> None:
    ways = ((None, 0), (2, 0), (7, 0), (3, 2), (0, 2))
    async with AsyncExitStack() as stack:
        chains = []
        for number, (groups, workers) in enumerate(ways):
            store = tmp_path / f"{number}.db" if workers else None
            rt = Runtime(Chain, genesis=lambda: sender_entries(8), store=store, workers=workers)
            chains.append((await stack.enter_async_context(rt), {} if groups is None else {"groups": groups}))
        for block in signed_blocks(2, 20, fork=fork, seed=3):
            theirs = reference(dict(chains[0][0].state().heap.items()), block)
            made = [await rt.advance({**block, **more}) for rt, more in chains]
            for one, (rt, _) in zip(made, chains, strict=True):
                assert failed(one.data, rt.state().heap, theirs) == set()
            assert len({one.state_root for one in made}) == 1
            assert [one.data["groups"] > 1 for one in made[:4]] == [False, True, True, True]
    assert made[2].data["executed again"] > 0


async def test_receipts_with_state_roots_are_made_in_order() -> None:
    (block,) = signed_blocks(1, 6, fork="homestead")
    async with Runtime(Chain, genesis=lambda: sender_entries(8), workers=0) as rt:
        theirs = reference(dict(rt.state().heap.items()), block)
        made = await rt.advance({**block, "groups": 4})
        assert made.data["groups"] == 1
        assert failed(made.data, rt.state().heap, theirs) == set()


async def test_a_block_of_nothing_is_made_with_groups_as_well() -> None:
    (block,) = signed_blocks(1, 0)
    async with Runtime(Chain, genesis=lambda: sender_entries(8), workers=0) as rt:
        theirs = reference(dict(rt.state().heap.items()), block)
        made = await rt.advance({**block, "groups": 3})
        assert failed(made.data, rt.state().heap, theirs) == set()


# --- a block in which every transaction gets in another one's way ---

COUNTER = b"\xc0" * 20
DOOMED = b"\xdd" * 20
FUNDED = b"\xf0" * 20
STRANGER = b"\x57" * 20
#: CALLER SELFDESTRUCT
DOOM = assemble("CALLER SELFDESTRUCT")
SLOTS = {number.to_bytes(32, "big"): 100 + number for number in range(1, 4)}


def poor() -> Sender:
    """A sender who has nothing at first."""
    return senders(5)[4]


def entries() -> dict[Any, Any]:
    found = dict(sender_entries(4))
    for address, code in ((COUNTER, runtime_code()), (DOOMED, DOOM)):
        code_hash = bytes(keccak256(code))
        found[*STATE_PREFIX, "code", code_hash] = code
        found[*STATE_PREFIX, "account", address] = (1, 1000, code_hash)
    for slot, value in SLOTS.items():
        found[*STATE_PREFIX, "storage", DOOMED, slot] = value
    return found


class Entangled:
    """Makes the block."""

    def __init__(self, fork: str = "shanghai") -> None:
        self.fork = installed_fork(fork)
        self.senders = [*senders(4), poor()]
        self.transactions: list[Any] = []

    def add(self, who: int, to: bytes, value: int = 0, words: tuple[int, ...] = (), gas: int = 100_000) -> Entangled:
        sender = self.senders[who]
        data = b"".join(word.to_bytes(32, "big") for word in words)
        plain = (0, sender.nonce, 2 * BASE_FEE_WEI, gas, to, value, data, 0, 0, 0)
        sender.nonce += 1
        self.transactions.append(sign(self.fork, sender.key, plain))
        return self

    def block(self, **more: Any) -> Block:
        (frame,) = signed_blocks(1, 0, fork=self.fork.name)
        return {**frame, "transactions": tuple(self.transactions), "withdrawals": (), **more}


def entangled(*, looks: bool = True) -> Block:
    """A block; `looks`: whether it asks what the miner has."""
    made = Entangled()
    made.add(0, COUNTER, words=(1, 0, 0))  # counts
    made.add(1, COUNTER, words=(1, 0, 0))  # counts on
    made.add(2, COUNTER, words=(2, 7, 9))  # sets slot 7
    made.add(3, COUNTER, words=(2, 7, 4))  # sets it again
    made.add(0, STRANGER, 5)
    made.add(1, STRANGER, 7)
    made.add(2, DOOMED)  # is gone, slots and all
    made.add(3, COUNTER, words=(8 if looks else 1, 0, 0))  # looks at the miner's balance
    made.add(0, poor().address, 10**18)
    made.add(4, STRANGER, 11, gas=21_000)  # has nothing but what came just now
    made.add(1, b"", words=(), gas=60_000)  # creates an account at an address of this nonce
    made.add(2, COUNTER, words=(8 if looks else 1, 0, 0))
    return made.block()


def dealt(monkeypatch: pytest.MonkeyPatch, *groups: Iterable[int]) -> None:
    """Divide a block so."""
    monkeypatch.setattr(chain, "groups_of", lambda *_: tuple(map(tuple, groups)))


async def checked(block: Block, groups: int = 2) -> tuple[set[str], Any]:
    async with Runtime(Chain, genesis=entries(), workers=0) as rt:
        theirs = reference(entries(), block)
        made = await rt.advance({**block, "groups": groups})
        return failed(made.data, rt.state().heap, theirs), made.data


@pytest.mark.parametrize(
    "groups",
    [
        [range(0, 12, 2), range(1, 12, 2)],
        [range(6), range(6, 12)],
        [range(6, 12), range(6)],
        [[place] for place in range(12)],
        [range(12)],
        [[11, 0], [10, 1, 2, 3, 4], [5, 6, 7, 8, 9]],
    ],
)
async def test_entangled_transactions_are_as_in_order_however_they_are_dealt(
    groups: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    dealt(monkeypatch, *map(sorted, groups))
    found, data = await checked(entangled())
    assert found == set()
    assert (data["executed again"] > 0) == (len(groups) > 1)


async def test_payments_to_one_account_do_not_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Entangled()
    for turn in range(8):
        made.add(turn % 2, STRANGER, turn)
    dealt(monkeypatch, (0, 2, 5, 7), (1, 3, 4, 6))
    found, data = await checked(made.block())
    assert (found, data["executed again"]) == (set(), 0), "neither the balance, nor the fees, nor the nonces bind them"


async def test_who_may_be_the_sender_is_no_more_than_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    dealt(monkeypatch, range(0, 12, 2), range(1, 12, 2))
    block = entangled()
    wrong = [COUNTER, senders(1)[0].address, b"\x01" * 20, b""] * 3
    found, data = await checked({**block, "senders": tuple(wrong)})
    assert found == set()
    assert data["executed again"] >= 6


# --- blocks that may not be ---


@pytest.mark.parametrize(
    ("make", "rule"),
    [
        (lambda made: made.add(0, STRANGER).add(1, STRANGER).block(gas_limit=120_000), "gas used exceeds limit"),
        (lambda made: made.add(0, STRANGER).add(4, STRANGER).block(), "InsufficientBalanceError"),
        (lambda made: made.block(transactions=(made.add(0, STRANGER).transactions[0],) * 2), "nonce too low"),
        (lambda made: made.block(transactions=(made.add(0, STRANGER).transactions[0], (9, 1))), "type 9 is not"),
    ],
)
async def test_what_may_not_be_in_a_block_is_refused_in_the_same_words(
    make: Callable[[Entangled], Block], rule: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dealt(monkeypatch, (0,), (1,))
    block = make(Entangled())
    told = []
    for more in ({}, {"groups": 2}):
        async with Runtime(Chain, genesis=entries(), workers=0) as rt:
            with pytest.raises(BlockFailed) as caught:
                await rt.advance({**block, **more})
            error: BaseException | None = caught.value
            while error is not None and error.__cause__ is not None:
                error = error.__cause__
            told.append(f"{type(error).__name__}: {error}")
            assert rt.head.number == 0
            assert rt.state().heap.region(STATE).digest() == rt.state(0).heap.region(STATE).digest()
    assert told[0] == told[1]
    assert rule in told[0]
    assert "transaction 1" in told[0]


# --- merges that are broken on purpose ---


def _stale(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Merge, "_holds", lambda self, place, effect: True)


def _changed_effect(change: Callable[[Effect], Effect]) -> Callable[[pytest.MonkeyPatch], None]:
    def broken(patch: pytest.MonkeyPatch) -> None:
        apply = Merged.apply
        patch.setattr(Merged, "apply", lambda self, effect: apply(self, change(effect)))

    return broken


def _without_write(effect: Effect) -> Effect:
    return effect._replace(slots=tuple(pair for pair in effect.slots if pair[0][:20] != COUNTER or pair[1] != 4))


def _without_fee(effect: Effect) -> Effect:
    (frame,) = signed_blocks(1, 0)
    return effect._replace(accounts=tuple(each for each in effect.accounts if each.address != frame["coinbase"]))


def _without_slots_of_the_dead(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(WatchedState, "drop_storage", HeapState.drop_storage)


def _wrong_order(patch: pytest.MonkeyPatch) -> None:
    run = Merge.run

    def by_groups(self: Merge) -> None:
        run(self)
        state = Merged(self.state._heap)
        for place in sorted(self._group, key=lambda place: (-self._group[place], place)):
            state.apply(self.taken[place])
        self.state = state

    patch.setattr(Merge, "run", by_groups)


def _balances_set(patch: pytest.MonkeyPatch) -> None:
    after = merging._after

    def set_to(before: Any, touched: Any) -> Any:
        nonce, balance, code_hash = after(before, touched)
        return (nonce, touched.balance if touched.address == STRANGER else balance, code_hash)

    patch.setattr(merging, "_after", lambda *given: set_to(*given) if given[1].exists else None)


def _receipts_by_groups(patch: pytest.MonkeyPatch) -> None:
    result = Merge.result

    def by_groups(self: Merge, root: bytes) -> Any:
        self.taken = [self.taken[place] for place in sorted(self._group, key=lambda place: self._group[place])]
        return result(self, root)

    patch.setattr(Merge, "result", by_groups)


def _without_logs(patch: pytest.MonkeyPatch) -> None:
    unpack = Effect.unpack
    patch.setattr(Effect, "unpack", lambda data: unpack(data)._replace(logs=b"\xc0", bloom=bytes(256)))


def _last_first(patch: pytest.MonkeyPatch) -> None:
    root = merging.transactions_root
    patch.setattr(chain, "transactions_root", lambda transactions: root(tuple(reversed(transactions))))


STATE_ALONE = {"state", "state root"}


@pytest.mark.parametrize(
    ("broken", "checks"),
    [
        # What was executed on a state that was not so: other gas, other logs, another state.
        (_stale, {"gas used", "receipts root", *STATE_ALONE}),
        # No header but for its state root tells of these; on a part of a chain's state, that cannot be had.
        (_changed_effect(_without_write), STATE_ALONE),
        (_changed_effect(_without_fee), STATE_ALONE),
        (_wrong_order, STATE_ALONE),
        (_balances_set, STATE_ALONE),
        # Nor even that: slots of an account that is not there are not under it.
        (_without_slots_of_the_dead, {"state"}),
        # And no state of these.
        (_receipts_by_groups, {"receipts root"}),
        (_without_logs, {"receipts root", "logs bloom"}),
        (_last_first, {"transactions root"}),
    ],
)
async def test_a_broken_merge_is_seen_by_the_checks_that_should(
    broken: Callable[[pytest.MonkeyPatch], None], checks: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dealt(monkeypatch, range(0, 12, 2), range(1, 12, 2))
    block = entangled(looks=False)
    assert (await checked(block))[0] == set()
    broken(monkeypatch)
    assert (await checked(block))[0] == checks


# --- recorded blocks ---


async def recorded(numbers: Iterable[int], groups: Iterable[int], workers: int, folder: Path) -> None:
    pack = Pack(PACK)
    store = folder / "chain.db" if workers else None
    async with Runtime(Chain, store=store, workers=workers) as rt:
        for number in numbers:
            record = pack.block(number)
            roots = set()
            for count in groups:
                await rt.advance({"pre": record.entries})
                made = await rt.advance({**record.block, "partial": True, "groups": count})
                assert mismatches(record, result_of(made.data), post_digest(rt.state().heap)) == []
                roots.add(made.state_root)
            assert len(roots) == 1


@needs_pack
@pytest.mark.parametrize(("groups", "workers"), [((1, 3, 16), 0), ((0, 2), 2)])
async def test_recorded_blocks_in_groups_match_their_headers(
    groups: tuple[int, ...], workers: int, tmp_path: Path
) -> None:
    await recorded((46147, 116525, 1150000, 4864590, 19426587, 19923400), groups, workers, tmp_path)


@needs_pack
@pytest.mark.long
@pytest.mark.parametrize(("groups", "workers"), [((2, 64), 0), ((0, 5), 2), ((8,), 3)])
async def test_all_recorded_blocks_in_groups_match_their_headers(
    groups: tuple[int, ...], workers: int, tmp_path: Path
) -> None:
    await recorded(Pack(PACK).numbers, groups, workers, tmp_path)
