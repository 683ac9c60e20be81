"""Merge what groups of a block's transactions did, in the block's order, and execute again what that proves wrong.

All groups began on the frozen state of the block's start, and each went on on its own transactions alone. What they are
mistaken about therefore, and which transactions hold, is told by `actors.speculation`, as for any ordered transactions; keys
are as in watched.py. One that does not hold is executed again, on the merged state.

A sender's nonce is what its transaction says, or the transaction may not be executed: so it is compared with that, and
a sender's transactions may be in several groups. A range of a balance counts as observed where the balance is not in
it. A transaction that was refused where it ran is executed again in any case: only in its place can be told whether it
may be in the block.

Balances are merged as sums. Everything else that a transaction writes, it writes as it is.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from actors.speculation import Speculation

from .effects import Effect, Refused, Runner
from .encoding import rlp_bytes, rlp_int, rlp_item, rlp_list
from .evm import BlockEnv, Result, rejected
from .fork_state import NO_ROOT
from .roots import ordered_root
from .state import EMPTY_CODE_HASH, STATE_PREFIX, Key, KeyValue, Reading, Value
from .transactions import PlainTransaction, nonce_of, parts_of
from .watched import ALIVE, BALANCE, CODE, NONCE, SLOTS, Account, Touched, watched_fork

__all__ = ["Merge", "Merged", "transactions_root"]

ADDRESS_BYTES: Final = 20
#: As an account: what there is where there is none.
NOTHING: Final = (0, 0, EMPTY_CODE_HASH)


class Merged:
    """The state as it is so far: what transactions left, above the frozen state in a heap. It can be read like one."""

    def __init__(self, heap: Reading, prefix: Key = STATE_PREFIX) -> None:
        self._heap = heap
        self._prefix = prefix
        self._depth = len(prefix)
        #: What was read of the heap, or written.
        self._accounts: dict[bytes, Account] = {}
        self._before: dict[bytes, Account] = {}
        self._slots: dict[bytes, int] = {}
        self._codes: dict[bytes, bytes] = {}

    # Reading

    def account(self, address: bytes) -> Account:
        """An account as it is now."""
        if address not in self._accounts:
            value = self._heap.get((*self._prefix, "account", address))
            self._accounts[address] = self._before[address] = value
        return self._accounts[address]

    def get(self, key: Key, default: Value = None) -> Value:
        """As of a heap: the value of one key."""
        kind, *rest = key[self._depth :]
        if kind == "account":
            found = self.account(rest[0])  # type: ignore[arg-type]
            return default if found is None else found
        if kind == "storage":
            value = self._slots.get(b"".join(rest))  # type: ignore[arg-type]
            return self._heap.get(key, default) if value is None else value or default
        code = self._codes.get(rest[0])  # type: ignore[arg-type]
        return self._heap.get(key, default) if code is None else code

    def __contains__(self, key: Key) -> bool:
        return self.get(key) is not None

    def items(self, prefix: Key) -> Iterator[tuple[Any, Value]]:
        """As of a heap: the slots of one account, which is all that is ever asked for."""
        address = prefix[-1]
        assert isinstance(address, bytes) and len(prefix) == self._depth + 2
        slots = dict(self._heap.items(prefix))
        slots.update({key[ADDRESS_BYTES:]: value for key, value in self._slots.items() if key.startswith(address)})
        return iter(sorted((slot, value) for slot, value in slots.items() if value))

    # Writing

    def apply(self, effect: Effect) -> set[bytes]:
        """Let a transaction have done what it did; return the keys whose values that changed."""
        changed: set[bytes] = set()
        for touched in effect.accounts:
            before = self.account(touched.address)
            after = self._accounts[touched.address] = _after(before, touched)
            changed.update(_differing(touched.address, before, after))
        for key, value in effect.slots:
            self._slots[key] = value
            changed.add(key)
            changed.add(key[:ADDRESS_BYTES] + SLOTS)
        self._codes.update(effect.codes)
        return changed

    def write(self, heap: KeyValue) -> None:
        """Write all that changed into the heap that is below, in key order."""
        prefix = self._prefix
        for code_hash in sorted(self._codes):
            key = (*prefix, "code", code_hash)
            if key not in heap:
                heap[key] = self._codes[code_hash]
        for address in sorted(self._accounts):
            account = self._accounts[address]
            if account == self._before[address]:
                continue
            key = (*prefix, "account", address)
            if account is None:
                del heap[key]
            else:
                heap[key] = account
        for slot_key in sorted(self._slots):
            key = (*prefix, "storage", slot_key[:ADDRESS_BYTES], slot_key[ADDRESS_BYTES:])
            if self._slots[slot_key]:
                heap[key] = self._slots[slot_key]
            elif key in heap:
                del heap[key]


def _after(before: Account, touched: Touched) -> Account:
    if not touched.exists:
        return None
    nonce, balance, code_hash = before or NOTHING
    return (
        nonce if touched.nonce is None else touched.nonce,
        balance + touched.balance,
        code_hash if touched.code_hash is None else touched.code_hash,
    )


def _differing(address: bytes, before: Account, after: Account) -> Iterator[bytes]:
    old, new = before or NOTHING, after or NOTHING
    for what, one, other in zip((NONCE, BALANCE, CODE), old, new, strict=True):
        if one != other:
            yield address + what
    if (before is None, old == NOTHING) != (after is None, new == NOTHING):
        yield address + ALIVE


class Merge:
    """The merge of one block.

    heap     the state before the transactions, under `prefix`.
    groups   the places of the transactions in each group.
    effects  by place, what each did in its group; None where it was refused there.
    """

    def __init__(
        self,
        heap: Reading,
        env: BlockEnv,
        transactions: Sequence[PlainTransaction],
        groups: Sequence[Sequence[int]],
        effects: Sequence[Effect | None],
        prefix: Key = STATE_PREFIX,
    ) -> None:
        self.state = Merged(heap, prefix)
        self.fork = watched_fork(env.rules)
        self._env = env
        self._prefix = prefix
        self._transactions = transactions
        self._effects = effects
        self._group = {place: number for number, places in enumerate(groups) for place in places}
        self._speculation: Speculation[int] = Speculation()
        for number, _ in enumerate(groups):
            self._speculation.begin(number)
        self._gas = self._blob_gas = 0
        #: What was done in the end, by place.
        self.taken: list[Effect] = []
        #: The places of what was executed again.
        self.again: list[int] = []

    def run(self) -> None:
        """Merge all transactions. Raises BlockRejected and LookupError as evm.execute."""
        for place, effect in enumerate(self._effects):
            if effect is not None and self._holds(place, effect):
                self._take(place, effect)
            else:
                self._redo(place, effect)
            done = self.taken[-1]
            self._gas += done.gas_used
            self._blob_gas += done.blob_gas

    def _holds(self, place: int, effect: Effect) -> bool:
        """Whether a transaction would have done the same in its place."""
        mistaken = self._speculation.mistaken(self._group[place])
        if not mistaken.isdisjoint(effect.reads):
            return False
        sender = self.state.account(effect.sender)
        if (0 if sender is None else sender[0]) != nonce_of(self._transactions[place]):
            return False
        for address, low, high in effect.ranges:
            if address + BALANCE in mistaken:
                account = self.state.account(address)
                if not low <= (0 if account is None else account[1]) < high:
                    return False
        limit = parts_of(self._transactions[place])[0]
        blobs = getattr(self.fork.fork, "MAX_BLOB_GAS_PER_BLOCK", 0)
        return self._gas + limit <= self._env.gas_limit and self._blob_gas + effect.blob_gas <= int(blobs)

    def _take(self, place: int, effect: Effect) -> None:
        self._apply(place, effect, (_set_keys(effect), set()))

    def _redo(self, place: int, before: Effect | None) -> None:
        runner = Runner(self.state, self._env, self._prefix)
        try:
            effect = runner.run(place, self._transactions[place], gas_before=self._gas, blob_gas_before=self._blob_gas)
        except Refused as error:
            raise rejected(self._env, place, str(error)) from None
        self._apply(place, effect, _compared(before, effect))
        self.again.append(place)

    def _apply(self, place: int, effect: Effect, ran: tuple[set[bytes], set[bytes]]) -> None:
        changed = self.state.apply(effect)
        self._speculation.settle(changed, {self._group[place]: ran})
        self.taken.append(effect)

    def result(self, transactions_root: bytes) -> Result:
        """The block's result, with the receipts as they stand in it."""
        gas = bloom = 0
        receipts = []
        for plain, effect in zip(self._transactions, self.taken, strict=True):
            gas += effect.gas_used
            bloom |= int.from_bytes(effect.bloom, "big")
            first = rlp_bytes(NO_ROOT) if effect.status is None else rlp_int(effect.status)
            receipt = rlp_list((first, rlp_int(gas), rlp_bytes(effect.bloom), effect.logs))
            receipts.append(bytes([plain[0]]) + receipt if plain[0] else receipt)
        return Result(
            gas_used=gas,
            blob_gas_used=self._blob_gas,
            transactions_root=transactions_root,
            receipts_root=ordered_root(receipts) if self.fork.since("byzantium") else None,
            logs_bloom=bloom.to_bytes(256, "big"),
            receipts=(),
        )


def _set_keys(effect: Effect) -> set[bytes]:
    """What a transaction sets, whatever was there before: all but balances, and what follows from several things."""
    keys = {key for key, _ in effect.slots}
    for touched in effect.accounts:
        if touched.nonce is not None:
            keys.add(touched.address + NONCE)
        if touched.code_hash is not None:
            keys.add(touched.address + CODE)
    return keys


def _compared(one: Effect | None, other: Effect) -> tuple[set[bytes], set[bytes]]:
    """The keys that two outcomes of a transaction set alike, and those about which they differ."""
    if one is None:
        one = other._replace(accounts=(), slots=())
    agreed = _set_keys(one) & _set_keys(other)
    differing: set[bytes] = set()
    slots, others = dict(one.slots), dict(other.slots)
    for key in slots.keys() | others.keys():
        if slots.get(key) != others.get(key):
            differing.update((key, key[:ADDRESS_BYTES] + SLOTS))
    accounts = {touched.address: touched for touched in one.accounts}
    other_accounts = {touched.address: touched for touched in other.accounts}
    for address in accounts.keys() | other_accounts.keys():
        if accounts.get(address) != other_accounts.get(address):
            differing.update([address + what for what in (NONCE, BALANCE, CODE, ALIVE)])
    return agreed - differing, differing


def transactions_root(transactions: Sequence[PlainTransaction]) -> bytes:
    """The root of a block's transactions, 32 bytes."""
    return ordered_root(
        bytes([kind]) + rlp_item(fields) if kind else rlp_item(fields) for kind, *fields in transactions
    )
