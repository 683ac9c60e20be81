"""The functions that stand in for a fork's `state` module, over a HeapState.

A fork's interpreter knows the state by these functions alone: about twenty, with the same names in every fork
and three differences, which are the arguments of `fill`'s inner tables:

    until Gray Glacier  writing an account that ends up empty leaves it; emptied accounts that a transaction
                        touched are removed at its end, from Spurious Dragon on
    from Paris on       writing an account that ends up empty removes it at once, with its storage
    from Cancun on      frames also cover transient storage, which lives as long as the transaction

Each function's contract is that of the function it replaces. Balances and nonces keep the package's number
types, whose range checks are part of the rules.
"""

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, Final

from ethereum_types.bytes import Bytes32
from ethereum_types.numeric import U256, Uint

from .forks import FORK_STARTS
from .roots import root_of
from .state import ABSENT, ZERO, HeapState, undo

__all__ = ["TransientStorage", "account_maker", "fill", "fill_for", "is_empty"]

#: Receipts before Byzantium contain a root; this stands there when the state is partial and has none.
NO_ROOT: Final = Bytes32(bytes(32))
ONE: Final = Uint(1)
NO_NONCE: Final = Uint(0)


class TransientStorage:
    """Slots that live as long as a transaction; a frame's writes are undone with the frame."""

    __slots__ = ("journal", "marks", "slots")

    #: (address, slot) -> U256, never zero once read through `get_transient_storage`'s default.
    slots: dict[Any, Any]
    #: As in HeapState.
    journal: list[tuple[dict[Any, Any], Any, Any]]
    marks: list[int]

    def __init__(self) -> None:
        self.slots = {}
        self.journal = []
        self.marks = []


def account_maker(types: Any) -> Callable[[int, int, bytes], Any]:
    """What HeapState builds the fork's accounts with."""
    account = types.Account

    def make(nonce: int, balance: int, code: bytes) -> Any:
        return account(Uint(nonce), U256(balance), code)

    return make


def fill_for(name: str, module: ModuleType, types: Any) -> None:
    """Put the state functions of the fork of this name into `module`; see `fill`."""
    names = list(FORK_STARTS)
    fill(
        module,
        types,
        empties_vanish=names.index(name) >= names.index("paris"),
        transient=names.index(name) >= names.index("cancun"),
    )


def fill(module: ModuleType, types: Any, *, empties_vanish: bool, transient: bool) -> None:
    """Put a fork's state functions into `module`.

    types           the fork's own `fork_types`, for Account.
    empties_vanish  the rule from Paris on.
    transient       the rule from Cancun on.
    """
    functions = [*_reading(types), *_writing(types, empties_vanish), *_frames(transient)]
    for function in functions:
        module.__dict__[function.__name__] = function
    module.__dict__["State"] = HeapState
    if transient:
        module.__dict__["TransientStorage"] = TransientStorage


def _reading(types: Any) -> list[Callable[..., Any]]:
    empty = types.EMPTY_ACCOUNT

    def get_account_optional(state: HeapState, address: bytes) -> Any:
        return state.account_now(address)

    def get_account(state: HeapState, address: bytes) -> Any:
        account = get_account_optional(state, address)
        return empty if account is None else account

    def account_exists(state: HeapState, address: bytes) -> bool:
        return get_account_optional(state, address) is not None

    def account_has_code_or_nonce(state: HeapState, address: bytes) -> bool:
        account = get_account(state, address)
        return bool(account.nonce != NO_NONCE or account.code != b"")

    def account_has_storage(state: HeapState, address: bytes) -> bool:
        return state.has_storage(address)

    def account_exists_and_is_empty(state: HeapState, address: bytes) -> bool:
        account = get_account_optional(state, address)
        return account is not None and is_empty(account)

    def is_account_alive(state: HeapState, address: bytes) -> bool:
        account = get_account_optional(state, address)
        return account is not None and not is_empty(account)

    def get_storage(state: HeapState, address: bytes, key: bytes) -> Any:
        return state.get_slot(address, key)

    def get_storage_original(state: HeapState, address: bytes, key: bytes) -> Any:
        return state.original_slot(address, key)

    def state_root(state: HeapState) -> Bytes32:
        if not state.with_roots:
            return NO_ROOT
        return Bytes32(root_of(state.merged_accounts(), state.merged_slots()))

    return [
        get_account_optional,
        get_account,
        account_exists,
        account_has_code_or_nonce,
        account_has_storage,
        account_exists_and_is_empty,
        is_account_alive,
        get_storage,
        get_storage_original,
        state_root,
    ]


def is_empty(account: Any) -> bool:
    """Whether an account that exists has nothing: no nonce, no balance, no code."""
    return bool(account.balance == ZERO and account.nonce == NO_NONCE and account.code == b"")


def _writing(types: Any, empties_vanish: bool) -> list[Callable[..., Any]]:
    make = types.Account
    empty = types.EMPTY_ACCOUNT

    def current(state: HeapState, address: bytes) -> Any:
        account = state.account_now(address)
        return empty if account is None else account

    def set_account(state: HeapState, address: bytes, account: Any) -> None:
        state.put_account(address, account)

    def destroy_storage(state: HeapState, address: bytes) -> None:
        state.drop_storage(address)

    def destroy_account(state: HeapState, address: bytes) -> None:
        state.drop_storage(address)
        state.put_account(address, None)

    def store(state: HeapState, address: bytes, account: Any) -> None:
        if empties_vanish and is_empty(account):
            destroy_account(state, address)
        else:
            state.put_account(address, account)

    def modify_state(state: HeapState, address: bytes, f: Callable[[Any], None]) -> None:
        before = current(state, address)
        account = make(before.nonce, before.balance, before.code, _frozen=False)
        f(account)
        account._frozen = True
        store(state, address, account)

    def set_account_balance(state: HeapState, address: bytes, amount: Any) -> None:
        before = current(state, address)
        store(state, address, make(before.nonce, amount, before.code))

    def create_ether(state: HeapState, address: bytes, amount: Any) -> None:
        before = current(state, address)
        store(state, address, make(before.nonce, before.balance + amount, before.code))

    def move_ether(state: HeapState, sender_address: bytes, recipient_address: bytes, amount: Any) -> None:
        sender = current(state, sender_address)
        if sender.balance < amount:
            raise AssertionError("the package checks the balance before it moves ether")
        store(state, sender_address, make(sender.nonce, sender.balance - amount, sender.code))
        create_ether(state, recipient_address, amount)

    def increment_nonce(state: HeapState, address: bytes) -> None:
        before = current(state, address)
        store(state, address, make(before.nonce + ONE, before.balance, before.code))

    def set_code(state: HeapState, address: bytes, code: bytes) -> None:
        before = current(state, address)
        store(state, address, make(before.nonce, before.balance, code))

    def touch_account(state: HeapState, address: bytes) -> None:
        if state.account_now(address) is None:
            state.put_account(address, empty)

    def destroy_touched_empty_accounts(state: HeapState, touched_accounts: Iterable[bytes]) -> None:
        for address in touched_accounts:
            account = state.account_now(address)
            if account is not None and is_empty(account):
                destroy_account(state, address)

    def mark_account_created(state: HeapState, address: bytes) -> None:
        state.created_accounts.add(address)

    def set_storage(state: HeapState, address: bytes, key: bytes, value: Any) -> None:
        state.put_slot(address, key, value)

    return [
        set_account,
        destroy_storage,
        destroy_account,
        modify_state,
        set_account_balance,
        create_ether,
        move_ether,
        increment_nonce,
        set_code,
        touch_account,
        destroy_touched_empty_accounts,
        mark_account_created,
        set_storage,
    ]


def _frames(transient: bool) -> list[Callable[..., Any]]:
    return _transient_frames() if transient else _plain_frames()


def _plain_frames() -> list[Callable[..., Any]]:
    def begin_transaction(state: HeapState) -> None:
        state.begin()

    def commit_transaction(state: HeapState) -> None:
        state.commit()

    def rollback_transaction(state: HeapState) -> None:
        state.rollback()

    return [begin_transaction, commit_transaction, rollback_transaction]


def _transient_frames() -> list[Callable[..., Any]]:
    def begin_transaction(state: HeapState, transient_storage: TransientStorage) -> None:
        state.begin()
        transient_storage.marks.append(len(transient_storage.journal))

    def commit_transaction(state: HeapState, transient_storage: TransientStorage) -> None:
        state.commit()
        transient_storage.marks.pop()

    def rollback_transaction(state: HeapState, transient_storage: TransientStorage) -> None:
        state.rollback()
        undo(transient_storage.journal, transient_storage.marks.pop())

    def get_transient_storage(transient_storage: TransientStorage, address: bytes, key: bytes) -> Any:
        return transient_storage.slots.get((address, key), ZERO)

    def set_transient_storage(transient_storage: TransientStorage, address: bytes, key: bytes, value: Any) -> None:
        slots = transient_storage.slots
        transient_storage.journal.append((slots, (address, key), slots.get((address, key), ABSENT)))
        slots[(address, key)] = value

    return [
        begin_transaction,
        commit_transaction,
        rollback_transaction,
        get_transient_storage,
        set_transient_storage,
    ]
