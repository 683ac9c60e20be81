"""Execute blocks: a mapping of plain values in, a tuple of plain values out, the state in a heap.

A block passes in three steps, which a caller takes one by one or, with `run_block`, together:

    open_block   what the rules do before the first transaction: the DAO's irregular transfer; from Cancun on,
                 the call that stores the beacon chain's root
    execute      the transactions
    close_block  what the rules do after the last: block and ommer rewards until Paris, withdrawals from
                 Shanghai on

Each step reads the heap, works on its own HeapState, and flushes at its end; a step that raises has written
nothing.

A block, as other processes and logs may hold it, is one mapping with values of plain types:

    number, time, coinbase, gas_limit     int, int, 20 bytes, int
    difficulty                            int; until Paris
    prev_randao                           32 bytes; from Paris on
    base_fee_per_gas                      int; from London on
    excess_blob_gas                       int; from Cancun on
    parent_beacon_block_root              32 bytes; from Cancun on
    chain_id                              int; 1 when absent
    fork                                  a name from forks.FORK_STARTS; by number, as on mainnet, when absent
    block_hashes                          ((number, 32 bytes), ...): what BLOCKHASH may be asked for
    transactions                          tuples; see transactions.py
    ommers                                ((number, coinbase), ...)
    withdrawals                           ((index, validator, address, amount in gwei), ...)
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, NamedTuple

from ethereum.exceptions import EthereumException
from ethereum_rlp import rlp
from ethereum_types.bytes import Bytes20, Bytes32
from ethereum_types.numeric import U64, U256, Uint

from .deep_stack import on_deep_stack
from .encoding import bloom_of
from .fork_state import account_maker, fill_for
from .forks import FORK_STARTS, Fork, fork_at, private_fork
from .roots import ordered_root, state_root
from .state import STATE_PREFIX, HeapState, Key, KeyValue
from .transactions import PlainTransaction, build

__all__ = [
    "Block",
    "BlockEnv",
    "BlockRejected",
    "Receipt",
    "Result",
    "close_block",
    "execute",
    "heap_fork",
    "open_block",
    "rejected",
    "rule_of",
    "run_block",
    "state_root",
]

#: See the module.
Block = Mapping[str, Any]


class BlockRejected(ValueError):
    """The block breaks a rule, so none of it was written. The message says where, and which rule."""


class Receipt(NamedTuple):
    """What a transaction left beside the state."""

    #: 1 for success, 0 for failure; None before Byzantium.
    status: int | None
    #: The state's root after the transaction, 32 bytes; before Byzantium, over a whole state, else None.
    post_state: bytes | None
    #: Gas used in the block up to and including this transaction.
    cumulative_gas: int
    #: 256 bytes.
    bloom: bytes
    #: (address, (topic, ...), data)
    logs: tuple[tuple[bytes, tuple[bytes, ...], bytes], ...]


class Result(NamedTuple):
    """What a block's transactions amount to: the header's claims, except for the state."""

    gas_used: int
    blob_gas_used: int
    transactions_root: bytes
    #: None before Byzantium over a partial state: receipts there contain a root that cannot be known.
    receipts_root: bytes | None
    logs_bloom: bytes
    receipts: tuple[Receipt, ...]

    def plain(self) -> tuple[Any, ...]:
        """The same as bare tuples, for a heap or a log that takes no subclasses."""
        return (*self[:5], tuple(tuple(receipt) for receipt in self.receipts))


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockEnv:
    """What a transaction can see of its block; the fields are explained in the module."""

    number: int
    time: int
    coinbase: bytes
    gas_limit: int
    difficulty: int = 0
    prev_randao: bytes = bytes(32)
    base_fee_per_gas: int = 0
    excess_blob_gas: int = 0
    parent_beacon_block_root: bytes = bytes(32)
    chain_id: int = 1
    fork: str | None = None
    block_hashes: tuple[tuple[int, bytes], ...] = ()

    @classmethod
    def of(cls, block: Block) -> "BlockEnv":
        """The environment in a block; keys that are not its fields are left alone."""
        return cls(**{name: block[name] for name in cls.__dataclass_fields__ if name in block})

    @property
    def rules(self) -> str:
        """The name of the fork whose rules hold."""
        return self.fork or fork_at(self.number)


def execute(
    heap: KeyValue,
    env: BlockEnv,
    transactions: Sequence[PlainTransaction],
    *,
    prefix: Key = STATE_PREFIX,
    whole_state: bool = False,
    receipts: bool = True,
) -> Result:
    """Execute a block's transactions in order and write what they did into `heap`.

    whole_state  the heap holds every account of its chain: receipts before Byzantium get their state roots.
                 Each root walks the whole state.
    receipts     put them into the result; otherwise only what is computed of them.

    Raises BlockRejected when a transaction may not be in this block, and LookupError when execution asks for
    something that should have come with it: a code, or the hash of an earlier block. The heap is then as it
    was. Works on a thread of its own, whose stack fits the deepest calls, and returns when that has ended.
    """
    return on_deep_stack(lambda: _execute(heap, env, transactions, prefix, whole_state, receipts))


def _execute(
    heap: KeyValue,
    env: BlockEnv,
    transactions: Sequence[PlainTransaction],
    prefix: Key,
    whole_state: bool,
    receipts: bool,
) -> Result:
    fork = heap_fork(env.rules)
    state = HeapState(heap, account_maker(fork.types), prefix, with_roots=whole_state and not fork.since("byzantium"))
    block_env = block_environment(fork, env, state)
    output = fork.vm.BlockOutput()
    for index, plain in enumerate(transactions):
        try:
            transaction = build(fork, plain)
        except (ValueError, OverflowError) as error:
            raise rejected(env, index, rule_of(error)) from None
        try:
            fork.fork.process_transaction(block_env, output, transaction, Uint(index))
        except EthereumException as error:
            raise rejected(env, index, rule_of(error)) from None
    result = collect(fork, output, rooted=whole_state or fork.since("byzantium"), receipts=receipts)
    state.flush()
    return result


def rejected(env: BlockEnv, index: int, rule: str) -> BlockRejected:
    """What is raised for a transaction that may not be in its block."""
    return BlockRejected(f"block {env.number} ({env.rules}): transaction {index} may not be in it: {rule}")


def rule_of(error: Exception) -> str:
    """The rule that was broken, as text: the package's own exceptions may hold value types that do not unpickle."""
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def open_block(heap: KeyValue, env: BlockEnv, *, prefix: Key = STATE_PREFIX) -> None:
    """Do what the rules do before the first transaction; for most blocks nothing."""

    def step() -> None:
        fork = heap_fork(env.rules)
        state = HeapState(heap, account_maker(fork.types), prefix)
        if fork.name == "dao_fork" and env.number == FORK_STARTS["dao_fork"]:
            fork.fork.apply_dao(state)
        if fork.since("cancun"):
            fork.fork.process_unchecked_system_transaction(
                block_env=block_environment(fork, env, state),
                target_address=fork.fork.BEACON_ROOTS_ADDRESS,
                data=Bytes32(env.parent_beacon_block_root),
            )
        state.flush()

    on_deep_stack(step)


def close_block(
    heap: KeyValue,
    env: BlockEnv,
    *,
    ommers: Iterable[tuple[int, bytes]] = (),
    withdrawals: Iterable[tuple[int, int, bytes, int]] = (),
    prefix: Key = STATE_PREFIX,
) -> None:
    """Pay what the rules pay after the last transaction. `ommers` and `withdrawals` as in a block."""
    fork = heap_fork(env.rules)
    state = HeapState(heap, account_maker(fork.types), prefix)
    if not fork.since("paris"):
        headers = tuple(SimpleNamespace(number=Uint(number), coinbase=Bytes20(who)) for number, who in ommers)
        fork.fork.pay_rewards(state, Uint(env.number), Bytes20(env.coinbase), headers)
    if fork.since("shanghai"):
        entries = tuple(
            fork.blocks.Withdrawal(U64(index), U64(validator), Bytes20(address), U256(amount))
            for index, validator, address, amount in withdrawals
        )
        fork.fork.process_withdrawals(block_environment(fork, env, state), fork.vm.BlockOutput(), entries)
    state.flush()


def run_block(
    heap: KeyValue,
    block: Block,
    *,
    prefix: Key = STATE_PREFIX,
    whole_state: bool = True,
    receipts: bool = True,
) -> Result:
    """The three steps of a block over a heap that holds its chain's whole state."""
    env = BlockEnv.of(block)
    open_block(heap, env, prefix=prefix)
    result = execute(heap, env, block["transactions"], prefix=prefix, whole_state=whole_state, receipts=receipts)
    close_block(heap, env, ommers=block.get("ommers", ()), withdrawals=block.get("withdrawals", ()), prefix=prefix)
    return result


# Between plain values and a fork's own


def heap_fork(name: str) -> Fork:
    """The fork's private copy, over HeapState."""
    return private_fork(name, lambda module, types: fill_for(name, module, types))


class BlockHashes:
    """Recent blocks' hashes, indexed from the end as the package does; LookupError for an unknown one."""

    __slots__ = ("_known", "_number")

    def __init__(self, number: int, known: Iterable[tuple[int, bytes]]) -> None:
        self._number = number
        self._known = {of: Bytes32(value) for of, value in known}

    def __getitem__(self, index: int) -> Bytes32:
        found = self._known.get(self._number + index)
        if found is None:
            raise LookupError(
                f"block {self._number} asks for the hash of block {self._number + index}, "
                "which its block_hashes do not contain"
            )
        return found


def block_environment(fork: Fork, env: BlockEnv, state: Any) -> Any:
    """The fork's own BlockEnvironment, over whatever state its functions take."""
    fields = {
        "chain_id": U64(env.chain_id),
        "state": state,
        "block_gas_limit": Uint(env.gas_limit),
        "block_hashes": BlockHashes(env.number, env.block_hashes),
        "coinbase": Bytes20(env.coinbase),
        "number": Uint(env.number),
        "base_fee_per_gas": Uint(env.base_fee_per_gas),
        "time": U256(env.time),
        "difficulty": Uint(env.difficulty),
        "prev_randao": Bytes32(env.prev_randao),
        "excess_blob_gas": U64(env.excess_blob_gas),
        "parent_beacon_block_root": Bytes32(env.parent_beacon_block_root),
    }
    make = fork.vm.BlockEnvironment
    return make(**{name: fields[name] for name in make.__dataclass_fields__})


def collect(fork: Fork, output: Any, *, rooted: bool, receipts: bool = True) -> Result:
    """The plain result of a fork's BlockOutput.

    rooted    whether the receipts' root can be known.
    receipts  whether the receipts are wanted: those of some blocks take a second to be taken apart.
    """
    made = [output.receipts_trie._data[key] for key in output.receipt_keys]
    return Result(
        gas_used=int(output.block_gas_used),
        blob_gas_used=int(getattr(output, "blob_gas_used", 0)),
        transactions_root=ordered_root(map(_encoded, output.transactions_trie._data.values())),
        receipts_root=ordered_root(map(_encoded, made)) if rooted else None,
        logs_bloom=bloom_of(output.block_logs),
        receipts=tuple(_receipt(each, fork.since("byzantium"), rooted) for each in made) if receipts else (),
    )


def _encoded(entry: Any) -> bytes:
    """An entry of a list that a header has the root of; those of a type are encoded already."""
    return entry if isinstance(entry, bytes) else rlp.encode(entry)


def _receipt(receipt: Any, has_status: bool, rooted: bool) -> Receipt:
    # From Berlin on a typed receipt is already encoded, one of type 0 still an object.
    fields: Any = rlp.decode(receipt[1:] if isinstance(receipt, bytes) else rlp.encode(receipt))
    first, gas, bloom, logs = fields
    return Receipt(
        status=int(bool(first)) if has_status else None,
        post_state=bytes(first) if rooted and not has_status else None,
        cumulative_gas=int.from_bytes(gas, "big"),
        bloom=bytes(bloom),
        logs=tuple(
            (bytes(address), tuple(bytes(topic) for topic in topics), bytes(data)) for address, topics, data in logs
        ),
    )
