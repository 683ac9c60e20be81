"""A state that notes what each transaction observed of it, and what it left.

Transactions of a block run side by side where none observes what another one wrote. How much is won depends on how
little is noted: a call of a contract observes its code, not its balance, which every payment to it changes. So an
observation names one thing, by a key of bytes:

    address + "n"    the account's nonce
    address + "b"    its balance
    address + "c"    its code
    address + "a"    whether it is absent, empty, or alive
    address + "s"    which slots it has at all
    address + slot   a slot's value

Balances are sums. Who is paid does not thereby observe what he has; nor does who pays, beyond its being enough. So what
a transaction does to a balance is noted as a difference, and that it was enough as a range in which the balance before
the transaction may lie. A miner's fee is no more than that: a difference. Whoever asks for a balance (BALANCE,
SELFBALANCE, SELFDESTRUCT) observes it, a miner's like any other's.

What is removed was observed whole.
"""

import importlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ethereum_types.numeric import U256

from .fork_state import fill_for, is_empty
from .forks import Fork, private_fork
from .state import EMPTY_CODE_HASH, STATE_PREFIX, HeapState, Key, Reading

__all__ = ["ALIVE", "BALANCE", "CODE", "NONCE", "SLOTS", "Account", "Touched", "WatchedState", "watched_fork"]

NONCE: Final = b"n"
BALANCE: Final = b"b"
CODE: Final = b"c"
ALIVE: Final = b"a"
SLOTS: Final = b"s"

#: What a blob takes of its own gas.
BLOB_GAS: Final = 1 << 17
#: A balance that is never reached.
NO_LIMIT: Final = 1 << 256

#: (nonce, balance, code hash), or None where there is no account.
Account = tuple[int, int, bytes] | None


class Touched(NamedTuple):
    """What a transaction left of one account."""

    address: bytes
    #: Whether it is there now.
    exists: bool
    #: None: as before.
    nonce: int | None
    #: To be added to whatever the balance is.
    balance: int
    #: The code's hash; None: as before.
    code_hash: bytes | None


class WatchedState(HeapState):
    """A HeapState with notes of the transaction that runs on it. `begin_notes` starts them anew."""

    __slots__ = ("_leapt", "codes", "ranges", "reads", "sender", "slots_before", "starts")

    #: Who sent the transaction, once that has been found out.
    sender: bytes
    #: What the transaction observed.
    reads: set[bytes]
    #: address -> (at least this, less than that): what its balance before the transaction was found to be.
    ranges: dict[bytes, tuple[int, int]]
    #: address -> the account before the transaction, where it was written.
    starts: dict[bytes, Any]
    #: (address, slot) -> the value before the transaction, where it was written.
    slots_before: dict[tuple[bytes, bytes], Any]
    #: Codes that the transaction deployed, by their hash.
    codes: dict[bytes, bytes]

    def __init__(
        self, heap: Reading, make_account: Callable[[int, int, bytes], Any], prefix: Key = STATE_PREFIX
    ) -> None:
        super().__init__(heap, make_account, prefix)  # type: ignore[arg-type]  # what is not flushed writes nothing
        self.begin_notes()

    def begin_notes(self) -> None:
        """Forget the notes; a transaction begins."""
        self.sender = b""
        self._leapt: tuple[bytes, Any] | None = None
        self.reads = set()
        self.codes = {}
        self.ranges = {}
        self.starts = {}
        self.slots_before = {}

    def leap(self, address: bytes, nonce: int) -> None:
        """Let an account have a nonce that it gets by transactions which were not executed here, if it is a later one."""
        account = self.account_now(address)
        if account is not None and int(account.nonce) < nonce:
            self._leapt = (address, account)
            self.accounts[address] = self.make_account(nonce, int(account.balance), account.code)

    def abandon(self) -> None:
        """Undo what the transaction wrote, wherever it is in it."""
        self.marks.clear()
        self.journal.clear()
        self.created_accounts.clear()
        self.accounts.update(self.starts)
        if self._leapt is not None:
            self.accounts[self._leapt[0]] = self._leapt[1]
        for (address, slot), value in self.slots_before.items():
            self.region(address).slots[slot] = value

    # Observing

    def get_slot(self, address: bytes, slot: bytes) -> Any:
        self.reads.add(address + slot)
        return super().get_slot(address, slot)

    def original_slot(self, address: bytes, slot: bytes) -> Any:
        self.reads.add(address + slot)
        return super().original_slot(address, slot)

    def has_storage(self, address: bytes) -> bool:
        self.reads.add(address + SLOTS)
        return super().has_storage(address)

    def enough(self, address: bytes, balance: int, wanted: int) -> bool:
        """Whether a balance, as it is now, is at least `wanted`; noted as a range of what it was before."""
        if not wanted:
            return True
        before = self.starts.get(address, self.accounts[address])
        earned = balance - (0 if before is None else int(before.balance))
        low, high = self.ranges.get(address, (0, NO_LIMIT))
        limit = wanted - earned
        if balance >= wanted:
            self.ranges[address] = (max(low, limit), high)
            return True
        self.ranges[address] = (low, min(high, limit))
        return False

    # Writing

    def put_account(self, address: bytes, account: Any) -> None:
        if address not in self.starts:
            self.starts[address] = self.account_now(address)
        if account is None:
            self.reads.update((address + NONCE, address + BALANCE, address + CODE, address + ALIVE))
        super().put_account(address, account)

    def put_slot(self, address: bytes, slot: bytes, value: Any) -> None:
        if (address, slot) not in self.slots_before:
            region = self.region(address)
            before = region.slots.get(slot)
            self.slots_before[address, slot] = self.load_slot(address, region, slot) if before is None else before
        super().put_slot(address, slot, value)

    def drop_storage(self, address: bytes) -> None:
        self.reads.add(address + SLOTS)
        region = self.region(address)
        if region.based and not self.vacant.get(address, False):
            for slot, _ in self.heap.items((*self._storage_key, bytes(address))):
                if slot not in region.slots:
                    self.load_slot(address, region, slot)
        for slot, value in region.slots.items():
            self.slots_before.setdefault((address, slot), value)
        super().drop_storage(address)

    # What is left

    def touched(self) -> tuple[Touched, ...]:
        """What the transaction left of the accounts that it wrote, in the order of their addresses."""
        found = []
        for address in sorted(self.starts):
            before, after = self._plain(self.starts[address]), self._plain(self.accounts[address])
            if before == after:
                continue
            nonce, balance, code_hash = before or _NOTHING
            new_nonce, new_balance, new_hash = after or _NOTHING
            if new_hash not in (code_hash, EMPTY_CODE_HASH):
                self.codes[new_hash] = bytes(self.accounts[address].code)
            found.append(
                Touched(
                    bytes(address),
                    after is not None,
                    new_nonce if new_nonce != nonce else None,
                    new_balance - balance,
                    new_hash if new_hash != code_hash else None,
                )
            )
        return tuple(found)

    def changed_slots(self) -> tuple[tuple[bytes, int], ...]:
        """(address + slot, value) of the slots that the transaction left different, in order."""
        found = []
        for (address, slot), before in self.slots_before.items():
            region = self.storage[address]
            after = region.slots.get(slot)
            if after is None:
                after = self.load_slot(address, region, slot)
            if after != before:
                found.append((address + slot, int(after)))
        found.sort()
        return tuple(found)

    def _plain(self, account: Any) -> Account:
        return None if account is None else self._plain_account(account)


_NOTHING: Final = (0, 0, EMPTY_CODE_HASH)


class _Seen:
    """An account as some instruction gets it: what it asks for is noted."""

    __slots__ = ("_account", "_address", "_state")

    def __init__(self, state: WatchedState, address: bytes, account: Any) -> None:
        self._state = state
        self._address = address
        self._account = account

    @property
    def nonce(self) -> Any:
        self._state.reads.add(self._address + NONCE)
        return self._account.nonce

    @property
    def code(self) -> Any:
        self._state.reads.add(self._address + CODE)
        return self._account.code

    @property
    def balance(self) -> Any:
        self._state.reads.add(self._address + BALANCE)
        return self._account.balance

    def __eq__(self, other: object) -> bool:
        # What the package compares accounts with is the empty one alone.
        self._state.reads.add(self._address + ALIVE)
        return bool(self._account == other)

    __hash__ = None  # type: ignore[assignment]


class _Payer(_Seen):
    """An account as the instructions get it that pay out of it."""

    __slots__ = ()

    @property
    def balance(self) -> Any:
        return _Purse(self._state, self._address, self._account.balance)


class _Purse(U256):
    """A balance that is mostly asked whether it is enough."""

    __slots__ = ("_address", "_state")

    def __init__(self, state: WatchedState, address: bytes, balance: Any) -> None:
        super().__init__(balance)
        self._state = state
        self._address = address

    def observed(self) -> U256:
        """The balance, which is noted as observed."""
        self._state.reads.add(self._address + BALANCE)
        return U256(self._number)

    def __lt__(self, other: Any) -> bool:
        return not self._state.enough(self._address, self._number, int(other))

    def __eq__(self, other: object) -> bool:
        return bool(self.observed() == other)

    def __ne__(self, other: object) -> bool:
        return bool(self.observed() != other)

    __hash__ = None  # type: ignore[assignment]

    def __add__(self, other: Any) -> U256:  # type: ignore[override]  # a sum is nobody's balance
        # SELFDESTRUCT until London: the one who inherits, and what he does.
        return U256(self._number) + (other.observed() if type(other) is _Purse else other)


class _Billed(_Seen):
    """An account as `process_transaction` gets it: the sender's, whose funds the runner notes, or the miner's."""

    __slots__ = ()

    @property
    def balance(self) -> Any:
        return self._account.balance


def watched_fork(name: str) -> Fork:
    """The fork's private copy over WatchedState. Its receipts are (error or root, gas used, logs)."""

    def fill_state(module: Any, types: Any) -> None:
        fill_for(name, module, types)
        for function in _watching(module, types.EMPTY_ACCOUNT):
            module.__dict__[function.__name__] = function

    def finish(fork: Fork) -> None:
        look = fork.state.__dict__["look"]
        system = importlib.import_module(f"{fork.vm.__name__}.instructions.system")
        system.__dict__["get_account"] = lambda state, address: _Payer(state, address, look(state, address))
        fork.fork.get_account = lambda state, address: _Billed(state, address, look(state, address))
        fork.fork.check_transaction = _noting(fork.fork.check_transaction)
        fork.fork.make_receipt = lambda *arguments: arguments[-3:]

    return private_fork(name, fill_state, kind="watched", finish=finish)


def _noting(check: Callable[..., Any]) -> Callable[..., Any]:
    """A fork's `check_transaction`, with a note that the sender's funds were found to be enough."""

    def check_transaction(block_env: Any, block_output: Any, tx: Any) -> Any:
        found = check(block_env=block_env, block_output=block_output, tx=tx)
        sender = found if isinstance(found, bytes) else found[0]
        price = tx.max_fee_per_gas if hasattr(tx, "max_fee_per_gas") else tx.gas_price
        wanted = int(tx.gas) * int(price) + int(tx.value)
        if hasattr(tx, "blob_versioned_hashes"):
            wanted += len(tx.blob_versioned_hashes) * BLOB_GAS * int(tx.max_fee_per_blob_gas)
        state = block_env.state
        state.sender = bytes(sender)
        state.enough(sender, int(state.accounts[sender].balance), wanted)
        return found

    return check_transaction


def _watching(module: Any, empty: Any) -> list[Callable[..., Any]]:
    """The functions that differ from those of fork_state.py, in what they note."""
    move = module.move_ether

    def look(state: WatchedState, address: bytes) -> Any:
        account = state.account_now(address)
        return empty if account is None else account

    def found(state: WatchedState, address: bytes) -> Any:
        state.reads.add(address + ALIVE)
        return state.account_now(address)

    def get_account(state: WatchedState, address: bytes) -> Any:
        return _Seen(state, address, look(state, address))

    def get_account_optional(state: WatchedState, address: bytes) -> Any:
        account = found(state, address)
        return None if account is None else _Seen(state, address, account)

    def account_exists(state: WatchedState, address: bytes) -> bool:
        return found(state, address) is not None

    def account_has_code_or_nonce(state: WatchedState, address: bytes) -> bool:
        seen = _Seen(state, address, look(state, address))
        return bool(int(seen.nonce) or seen.code)

    def account_exists_and_is_empty(state: WatchedState, address: bytes) -> bool:
        account = found(state, address)
        return account is not None and is_empty(account)

    def is_account_alive(state: WatchedState, address: bytes) -> bool:
        account = found(state, address)
        return account is not None and not is_empty(account)

    def destroy_touched_empty_accounts(state: WatchedState, touched_accounts: Any) -> None:
        for address in touched_accounts:
            if account_exists_and_is_empty(state, address):
                module.destroy_account(state, address)

    def move_ether(state: WatchedState, sender_address: bytes, recipient_address: bytes, amount: Any) -> None:
        move(state, sender_address, recipient_address, amount.observed() if type(amount) is _Purse else amount)

    return [
        look,
        get_account,
        get_account_optional,
        account_exists,
        account_has_code_or_nonce,
        account_exists_and_is_empty,
        is_account_alive,
        destroy_touched_empty_accounts,
        move_ether,
    ]
