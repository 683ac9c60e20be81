"""The state of one activation: decoded accounts and slots, cached over a heap, with an undo journal.

The package keeps accounts and slots in two Python dictionaries and copies both at every call frame. A block
of mainnet opens tens of thousands of frames, so most of its time goes into copies. Here a frame is a mark in
a journal: entering costs one append, leaving nothing, and a revert undoes what was written since the mark.

Layout in the heap, under a prefix that the owner of the heap chooses:

    (*prefix, "account", address)        (nonce, balance, code hash)
    (*prefix, "storage", address, slot)  int, never 0: a slot that is zero is absent
    (*prefix, "code", code hash)         bytes; the empty code is never stored

Code stands under its hash because thousands of accounts share one code, and because a value that its key
determines can never conflict. For the same reason code is never removed: another account may have it.

Rules:

 1. The heap is written by `flush` alone. Until then it is as it was found, so an exception leaves it whole.
 2. `flush` writes in an order that the keys alone determine, and only what differs from what was read. No
    set's or dict's order reaches the heap.
 3. Into the heap go plain ints and bytes only. The package's own value types do not unpickle.
 4. The journal's entries are (mapping, key, value before); undoing one is storing that value, or, where the
    key was absent, deleting it. All that a frame may change is therefore held in mappings.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

from ethereum.crypto.hash import keccak256
from ethereum_types.numeric import U256

__all__ = ["EMPTY_CODE_HASH", "STATE_PREFIX", "HeapState", "Key", "KeyValue", "Reading", "Region", "Value"]


#: A heap key.
Key = tuple[str | int | bytes, ...]
#: A heap value: None, bool, int, str, bytes, or tuples of those.
Value = Any

#: Where the state stands in a heap whose owner did not say otherwise.
STATE_PREFIX: Final[Key] = ("state",)
#: keccak256 of no bytes: the code hash of an account without code.
EMPTY_CODE_HASH: Final[bytes] = bytes.fromhex("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470")

#: In a journal entry: the key was absent. Among the read accounts: never read.
ABSENT: Final[Any] = object()
ZERO: Final = U256(0)


class Reading(Protocol):
    """What reading the state asks of a heap. Keys are ordered as tuples are; see the module for what they hold."""

    def get(self, key: Key, default: Value = None) -> Value:
        """The value at `key`, or `default`."""

    def __contains__(self, key: Key) -> bool: ...

    def items(self, prefix: Key) -> Iterable[tuple[Any, Value]]:
        """(relative key, value) in key order, for every key that begins with `prefix`.

        A relative key of one element is that element, bare; a longer one is a tuple.
        """


class KeyValue(Reading, Protocol):
    """What changing the state asks of a heap: actors.Heap, or a stand-in."""

    def __setitem__(self, key: Key, value: Value) -> None: ...

    def __delitem__(self, key: Key) -> None:
        """Remove `key`; KeyError when it is absent."""

    def clear(self, prefix: Key) -> None:
        """Remove every key that begins with `prefix`."""


class Region:
    """The slots of one account, as far as they have been read or written."""

    __slots__ = ("based", "read", "slots")

    #: slot -> U256; zero included, so that an absent slot is looked up in the heap once.
    slots: dict[bytes, Any]
    #: Whether a slot that is not in `slots` has its value in the heap. False once the storage has been
    #: destroyed.
    based: bool
    #: slot -> the heap's own value, 0 where absent, for every slot read from it: what `flush` compares with.
    read: dict[bytes, int]

    def __init__(self, based: bool) -> None:
        self.slots = {}
        self.read = {}
        self.based = based


class HeapState:
    """Accounts and slots over a heap: read through a cache, written by `flush`.

    heap          where the state lives.
    make_account  builds the executing fork's account from plain (nonce, balance, code). Accounts are the
                  fork's own immutable objects, since the fork's code reads their fields.
    prefix        where in the heap.
    with_roots    whether `state_root` is answered during execution: receipts before Byzantium contain it.
                  It makes sense only over a whole state, and it walks all of it each time.
    """

    __slots__ = (
        "_account_key",
        "_code_key",
        "_hashes",
        "_read",
        "_storage_key",
        "accounts",
        "created_accounts",
        "dropped",
        "heap",
        "journal",
        "make_account",
        "marks",
        "originals",
        "storage",
        "vacant",
        "with_roots",
    )

    #: address -> the fork's Account, or None where there is no account.
    accounts: dict[bytes, Any]
    #: address -> its slots.
    storage: dict[bytes, Region]
    #: address -> whether the heap holds no slot of it; present once somebody asked.
    vacant: dict[bytes, bool]
    #: (mapping, key, value before or ABSENT), oldest first. Meaningful only while `marks` is not empty.
    journal: list[tuple[dict[Any, Any], Any, Any]]
    #: For every open frame, the journal's length when it opened.
    marks: list[int]
    #: (address, slot) -> value before the transaction, for every slot that it has written.
    originals: dict[tuple[bytes, bytes], Any]
    #: address -> the slots before the transaction destroyed them.
    dropped: dict[bytes, Region]
    #: Accounts created in this transaction; a revert does not take them out (as in the package, whose
    #: SELFDESTRUCT of Cancun reads this field by its name).
    created_accounts: set[bytes]

    def __init__(
        self,
        heap: KeyValue,
        make_account: Callable[[int, int, bytes], Any],
        prefix: Key = STATE_PREFIX,
        *,
        with_roots: bool = False,
    ) -> None:
        self.heap = heap
        self.make_account = make_account
        self.with_roots = with_roots
        self._account_key: Key = (*prefix, "account")
        self._storage_key: Key = (*prefix, "storage")
        self._code_key: Key = (*prefix, "code")
        self.accounts = {}
        self.storage = {}
        self.vacant = {}
        self.journal = []
        self.marks = []
        self.originals = {}
        self.dropped = {}
        self.created_accounts = set()
        #: address -> the heap's own value as read, None where absent: what `flush` compares with.
        self._read: dict[bytes, Value] = {}
        #: code -> its hash, for every code that came out of the heap: saves hashing it again on the way back.
        self._hashes: dict[bytes, bytes] = {b"": EMPTY_CODE_HASH}

    # Reading

    def load_account(self, address: bytes) -> Any:
        """Read an account into the cache and return it; None where there is none."""
        plain = bytes(address)
        value = self.heap.get((*self._account_key, plain))
        self._read[plain] = value
        account = None
        if value is not None:
            nonce, balance, code_hash = value
            account = self.make_account(nonce, balance, self._load_code(plain, code_hash))
        self.accounts[address] = account
        return account

    def account_now(self, address: bytes) -> Any:
        """Return an account as it is now; None where there is none."""
        try:
            return self.accounts[address]
        except KeyError:
            return self.load_account(address)

    def _load_code(self, address: bytes, code_hash: bytes) -> bytes:
        if code_hash == EMPTY_CODE_HASH:
            return b""
        code = self.heap.get((*self._code_key, code_hash))
        if not isinstance(code, bytes):
            raise LookupError(
                f"account {address.hex()} names code {code_hash.hex()}, which is not in the heap; "
                "whoever filled the heap must put each code under its hash"
            )
        self._hashes[code] = code_hash
        return code

    def region(self, address: bytes) -> Region:
        """The slots of an account, to read and to write."""
        found = self.storage.get(address)
        if found is None:
            found = self.storage[address] = Region(based=True)
        return found

    def load_slot(self, address: bytes, region: Region, slot: bytes) -> Any:
        """Read a slot that is not in `region` into it, and return its value."""
        value = ZERO
        if region.based:
            plain = self.heap.get((*self._storage_key, bytes(address), bytes(slot)), 0)
            region.read[slot] = plain
            if plain:
                value = U256(plain)
        region.slots[slot] = value
        return value

    def get_slot(self, address: bytes, slot: bytes) -> Any:
        region = self.region(address)
        value = region.slots.get(slot)
        return self.load_slot(address, region, slot) if value is None else value

    def has_storage(self, address: bytes) -> bool:
        """Whether any slot of the account is not zero."""
        region = self.region(address)
        if any(value != ZERO for value in region.slots.values()):
            return True
        if not region.based or self.vacant.get(address, False):
            return False
        first = next(iter(self.heap.items((*self._storage_key, bytes(address)))), None)
        self.vacant[address] = first is None
        if first is None:
            return False
        stored = self.heap.items((*self._storage_key, bytes(address)))
        return any(slot not in region.slots for slot, _ in stored)

    def original_slot(self, address: bytes, slot: bytes) -> Any:
        """The slot's value before the current transaction; zero for an account that it created."""
        if address in self.created_accounts:
            return ZERO
        value = self.originals.get((address, slot))
        return self._unwritten_slot(address, slot) if value is None else value

    def _unwritten_slot(self, address: bytes, slot: bytes) -> Any:
        """The original value of a slot that the transaction has not written, though it may have dropped it."""
        region = self.dropped.get(address) or self.region(address)
        value = region.slots.get(slot)
        return self.load_slot(address, region, slot) if value is None else value

    # Writing

    def put_account(self, address: bytes, account: Any) -> None:
        """Set an account, or remove it (None), its storage left alone."""
        accounts = self.accounts
        self.journal.append((accounts, address, accounts.get(address, ABSENT)))
        accounts[address] = account

    def put_slot(self, address: bytes, slot: bytes, value: Any) -> None:
        region = self.region(address)
        before = region.slots.get(slot)
        if before is None:
            before = self.load_slot(address, region, slot)
        if self.marks and (address, slot) not in self.originals:
            self.originals[(address, slot)] = self._unwritten_slot(address, slot)
        self.journal.append((region.slots, slot, before))
        region.slots[slot] = value

    def drop_storage(self, address: bytes) -> None:
        """Make every slot of the account zero."""
        before = self.region(address)
        if self.marks:
            self.dropped.setdefault(address, before)
        self.journal.append((self.storage, address, before))
        self.storage[address] = Region(based=False)

    # Frames

    def begin(self) -> None:
        """Open a frame. The outermost one begins a transaction."""
        if not self.marks:
            self.journal.clear()
            self.originals.clear()
            self.dropped.clear()
        self.marks.append(len(self.journal))

    def commit(self) -> None:
        """Close the innermost frame and keep what it wrote."""
        self.marks.pop()
        if not self.marks:
            self.created_accounts.clear()

    def rollback(self) -> None:
        """Close the innermost frame and undo what was written since it opened."""
        mark = self.marks.pop()
        undo(self.journal, mark)
        if not self.marks:
            self.created_accounts.clear()

    # The end

    def merged_accounts(self) -> Iterator[tuple[bytes, tuple[int, int, bytes]]]:
        """Every account as `flush` would leave it, in no order: (address, (nonce, balance, code hash))."""
        for address, value in self.heap.items(self._account_key):
            if address not in self.accounts:
                yield address, value
        for address, account in self.accounts.items():
            if account is not None:
                yield bytes(address), self._plain_account(account)

    def merged_slots(self) -> Iterator[tuple[bytes, bytes, int]]:
        """Every slot that is not zero as `flush` would leave it, in no order: (address, slot, value)."""
        for (address, slot), value in self.heap.items(self._storage_key):
            region = self.storage.get(address)
            if region is None or (region.based and slot not in region.slots):
                yield address, slot, value
        for address, region in self.storage.items():
            for slot, value in region.slots.items():
                if value != ZERO:
                    yield bytes(address), bytes(slot), int(value)

    def _plain_account(self, account: Any) -> tuple[int, int, bytes]:
        code = bytes(account.code)
        code_hash = self._hashes.get(code)
        if code_hash is None:
            code_hash = self._hashes[code] = bytes(keccak256(code))
        return (int(account.nonce), int(account.balance), code_hash)

    def flush(self) -> None:
        """Write what changed into the heap. Everything is computed first, then written, in key order."""
        if self.marks:
            raise AssertionError("flush inside a frame: its writes could still be reverted")
        heap = self.heap
        accounts: list[tuple[Key, Value]] = []
        codes: dict[bytes, bytes] = {}
        for address in sorted(self.accounts):
            account = self.accounts[address]
            plain = bytes(address)
            key = (*self._account_key, plain)
            value = None if account is None else self._plain_account(account)
            before = self._read.get(plain, ABSENT)
            if before is ABSENT:
                before = heap.get(key)
            if value != before:
                accounts.append((key, value))
                if value is not None and value[2] != EMPTY_CODE_HASH and (before is None or before[2] != value[2]):
                    codes[value[2]] = bytes(account.code)
        cleared, slots = self._changed_slots()

        for code_hash in sorted(codes):
            key = (*self._code_key, code_hash)
            if key not in heap:
                heap[key] = codes[code_hash]
        for key in cleared:
            heap.clear(key)
        for key, value in accounts + slots:
            if value is not None:
                heap[key] = value
            else:
                del heap[key]
        self._forget()

    def _changed_slots(self) -> tuple[list[Key], list[tuple[Key, Value]]]:
        """The prefixes to clear, and (key, value or None to remove) for each slot that changed."""
        cleared: list[Key] = []
        slots: list[tuple[Key, Value]] = []
        for address in sorted(self.storage):
            region = self.storage[address]
            prefix = (*self._storage_key, bytes(address))
            if not region.based and not self.vacant.get(address, False):
                cleared.append(prefix)
            for slot in sorted(region.slots):
                value = int(region.slots[slot])
                if value != region.read.get(slot, 0):
                    slots.append(((*prefix, bytes(slot)), value or None))
        return cleared, slots

    def _forget(self) -> None:
        """Drop every cache that the heap now supersedes."""
        for cache in (self.accounts, self.storage, self.vacant, self._read, self.originals, self.dropped):
            cache.clear()
        self.journal.clear()


def undo(journal: list[tuple[dict[Any, Any], Any, Any]], mark: int) -> None:
    """Take the journal back to length `mark`, restoring what each entry says, newest first."""
    while len(journal) > mark:
        mapping, key, before = journal.pop()
        if before is ABSENT:
            del mapping[key]
        else:
            mapping[key] = before
