"""The unmodified package on the same inputs, to compare against.

It shares with evm.py what turns plain values into a fork's types, and nothing of the state: accounts, slots,
frames and roots here are the installed package's own. It copies the whole state at every frame, so it is for
comparing, not for use.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple

from ethereum.crypto.hash import keccak256
from ethereum.exceptions import EthereumException
from ethereum_types.bytes import Bytes20, Bytes32
from ethereum_types.numeric import U64, U256, Uint

from .deep_stack import on_deep_stack
from .evm import Block, BlockEnv, BlockRejected, Result, block_environment, collect
from .forks import FORK_STARTS, Fork, installed_fork
from .state import EMPTY_CODE_HASH, STATE_PREFIX, Key, Value
from .transactions import build

__all__ = ["Reference", "reference"]


class Reference(NamedTuple):
    """A block's result and the state after it."""

    result: Result
    #: address -> (nonce, balance, code hash)
    accounts: dict[bytes, tuple[int, int, bytes]]
    #: (address, slot) -> value, not 0
    storage: dict[tuple[bytes, bytes], int]
    #: code hash -> code, for the codes of these accounts
    codes: dict[bytes, bytes]
    #: 32 bytes; the chain's only when the state is whole.
    state_root: bytes

    def entries(self, prefix: Key = STATE_PREFIX) -> dict[Key, Value]:
        """The state in the layout of state.py."""
        entries: dict[Key, Value] = {}
        for code_hash, code in self.codes.items():
            entries[(*prefix, "code", code_hash)] = code
        for address, account in self.accounts.items():
            entries[(*prefix, "account", address)] = account
        for (address, slot), value in self.storage.items():
            entries[(*prefix, "storage", address, slot)] = value
        return entries


def reference(
    entries: Mapping[Key, Value] | Iterable[tuple[Key, Value]],
    block: Block,
    *,
    prefix: Key = STATE_PREFIX,
    whole_state: bool = True,
) -> Reference:
    """Run a block on the state in `entries` with the unmodified package.

    whole_state  run the complete block, as evm.run_block; otherwise the transactions alone, as evm.execute.

    Raises BlockRejected when the package refuses the block.
    """
    return on_deep_stack(lambda: _reference(dict(entries), block, prefix, whole_state))


def _reference(entries: dict[Key, Value], block: Block, prefix: Key, whole_state: bool) -> Reference:
    env = BlockEnv.of(block)
    fork = installed_fork(env.rules)
    state = load(fork, entries, prefix)
    transactions = [build(fork, plain) for plain in block["transactions"]]
    block_env = block_environment(fork, env, state)
    try:
        if whole_state:
            output = _whole_block(fork, block_env, transactions, block)
        else:
            output = fork.vm.BlockOutput()
            for index, transaction in enumerate(transactions):
                fork.fork.process_transaction(block_env, output, transaction, Uint(index))
    except EthereumException as error:
        raise BlockRejected(f"the package refuses block {env.number}: {type(error).__name__}: {error}") from None
    return _dump(fork, state, collect(fork, output, rooted=whole_state or fork.since("byzantium")))


def load(fork: Fork, entries: Mapping[Key, Value], prefix: Key = STATE_PREFIX) -> Any:
    """The package's own State with these entries."""
    state = fork.state.State()
    depth = len(prefix)
    for key, value in entries.items():
        if key[:depth] == prefix and key[depth] == "account":
            nonce, balance, code_hash = value
            code = b"" if code_hash == EMPTY_CODE_HASH else entries[(*prefix, "code", code_hash)]
            account = fork.types.Account(Uint(nonce), U256(balance), code)
            fork.state.set_account(state, Bytes20(key[depth + 1]), account)
    for key, value in entries.items():
        if key[:depth] == prefix and key[depth] == "storage":
            fork.state.set_storage(state, Bytes20(key[depth + 1]), Bytes32(key[depth + 2]), U256(value))
    return state


def _whole_block(fork: Fork, block_env: Any, transactions: Sequence[Any], block: Block) -> Any:
    if fork.name == "dao_fork" and block["number"] == FORK_STARTS["dao_fork"]:
        fork.fork.apply_dao(block_env.state)
    body: dict[str, Any] = {"block_env": block_env}
    if fork.since("berlin"):
        body["transactions"] = tuple(map(fork.transactions.encode_transaction, transactions))
    else:
        body["transactions"] = tuple(transactions)
    if not fork.since("paris"):
        body["ommers"] = tuple(
            SimpleNamespace(number=Uint(number), coinbase=Bytes20(who)) for number, who in block.get("ommers", ())
        )
    if fork.since("shanghai"):
        body["withdrawals"] = tuple(
            fork.blocks.Withdrawal(U64(index), U64(validator), Bytes20(address), U256(amount))
            for index, validator, address, amount in block.get("withdrawals", ())
        )
    return fork.fork.apply_body(**body)


def _dump(fork: Fork, state: Any, result: Result) -> Reference:
    accounts: dict[bytes, tuple[int, int, bytes]] = {}
    codes: dict[bytes, bytes] = {}
    for address, account in state._main_trie._data.items():
        code_hash = bytes(keccak256(account.code))
        accounts[bytes(address)] = (int(account.nonce), int(account.balance), code_hash)
        if account.code:
            codes[code_hash] = bytes(account.code)
    storage = {
        (bytes(address), bytes(slot)): int(value)
        for address, region in state._storage_tries.items()
        for slot, value in region._data.items()
    }
    return Reference(result, accounts, storage, codes, bytes(fork.state.state_root(state)))
