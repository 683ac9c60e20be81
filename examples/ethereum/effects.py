"""What one transaction observed and did, as plain values that travel.

A child executes its transactions one by one, each on what the ones before it in the child left, and gives an Effect for
each: enough to tell whether the transaction would have done the same elsewhere, and to do there what it did, without
executing it again.

A receipt has two parts that depend on what stands before it in the block: the gas used up to it, and its place. So the
rest of it travels: status, bloom, and the logs as they will stand in it, encoded.
"""

from collections.abc import Iterator
from itertools import accumulate, pairwise
from struct import Struct
from typing import Final, NamedTuple

from ethereum.exceptions import EthereumException
from ethereum_types.numeric import U64, Uint

from .encoding import bloom_of, rlp_bytes, rlp_list
from .evm import BlockEnv, block_environment, rule_of
from .fork_state import account_maker
from .state import STATE_PREFIX, Key, Reading
from .transactions import PlainTransaction, build, nonce_of
from .watched import ALIVE, BALANCE, CODE, NONCE, Touched, WatchedState, watched_fork

__all__ = ["Effect", "Refused", "Runner"]

#: An observation of an account is this long; one of a slot is longer.
ACCOUNT_KEY_BYTES: Final = 21
SLOT_KEY_BYTES: Final = 52
#: A balance, or the difference of two, with its sign.
SIGNED_BYTES: Final = 33
PACKED_BYTES: Final = 94
NO_LOGS: Final = b"\xc0"
NO_STATUS: Final = 2
#: Sender, status, gas used, gas for blobs, and the sizes of the eight parts that follow.
_HEAD: Final = Struct(">20sBQQ8I")


class Refused(Exception):
    """The transaction may not stand where it was executed. The message says which rule."""


class Effect(NamedTuple):
    """What a transaction observed and did."""

    #: Whose nonce was the transaction's own: that is not among what it observed.
    sender: bytes
    #: Keys as in watched.py.
    reads: frozenset[bytes]
    #: (address, at least this, less than that): where its balance must have been.
    ranges: tuple[tuple[bytes, int, int], ...]
    accounts: tuple[Touched, ...]
    #: (address + slot, value)
    slots: tuple[tuple[bytes, int], ...]
    gas_used: int
    blob_gas: int
    #: As in a receipt; None before Byzantium.
    status: int | None
    bloom: bytes
    #: The list of logs in RLP.
    logs: bytes
    #: (hash, code) of what it deployed.
    codes: tuple[tuple[bytes, bytes], ...]

    def pack(self) -> bytes:
        """As one piece of bytes, for a heap: there every element of a value has its price, and here are many."""
        parts = (
            b"".join(sorted(key for key in self.reads if len(key) == ACCOUNT_KEY_BYTES)),
            b"".join(sorted(key for key in self.reads if len(key) == SLOT_KEY_BYTES)),
            b"".join([address + _signed(low) + _signed(high) for address, low, high in self.ranges]),
            b"".join(map(_packed, self.accounts)),
            b"".join([key + value.to_bytes(32, "big") for key, value in self.slots]),
            self.bloom if self.logs != NO_LOGS else b"",
            self.logs,
            b"".join([code_hash + len(code).to_bytes(4, "big") + code for code_hash, code in self.codes]),
        )
        status = NO_STATUS if self.status is None else self.status
        return _HEAD.pack(self.sender, status, self.gas_used, self.blob_gas, *map(len, parts)) + b"".join(parts)

    @classmethod
    def unpack(cls, data: bytes) -> "Effect":
        """What `pack` made bytes of."""
        sender, status, gas_used, blob_gas, *sizes = _HEAD.unpack_from(data)
        ends = [*accumulate(sizes, initial=_HEAD.size)]
        short, long, ranges, accounts, slots, bloom, logs, codes = [data[start:end] for start, end in pairwise(ends)]
        return cls(
            sender=sender,
            reads=frozenset(_cut(short, ACCOUNT_KEY_BYTES) + _cut(long, SLOT_KEY_BYTES)),
            ranges=tuple(
                [(each[:20], _number(each[20:53]), _number(each[53:])) for each in _cut(ranges, 20 + 2 * SIGNED_BYTES)]
            ),
            accounts=tuple([_unpacked(each) for each in _cut(accounts, PACKED_BYTES)]),
            slots=tuple([(each[:52], int.from_bytes(each[52:], "big")) for each in _cut(slots, SLOT_KEY_BYTES + 32)]),
            gas_used=gas_used,
            blob_gas=blob_gas,
            status=None if status == NO_STATUS else status,
            bloom=bloom or bytes(256),
            logs=logs,
            codes=tuple(_codes(codes)),
        )


def _codes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at < len(data):
        start = at + 36
        end = start + int.from_bytes(data[at + 32 : start], "big")
        yield data[at : at + 32], data[start:end]
        at = end


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[i : i + size] for i in range(0, len(data), size)]


def _signed(number: int) -> bytes:
    return number.to_bytes(SIGNED_BYTES, "big", signed=True)


def _number(data: bytes) -> int:
    return int.from_bytes(data, "big", signed=True)


def _packed(touched: Touched) -> bytes:
    """A Touched in PACKED_BYTES: address, what it has, nonce, balance, code hash."""
    address, exists, nonce, balance, code_hash = touched
    has = exists | (nonce is not None) << 1 | (code_hash is not None) << 2
    return address + bytes([has]) + (nonce or 0).to_bytes(8, "big") + _signed(balance) + (code_hash or bytes(32))


def _unpacked(data: bytes) -> Touched:
    has = data[20]
    return Touched(
        data[:20],
        bool(has & 1),
        int.from_bytes(data[21:29], "big") if has & 2 else None,
        _number(data[29:62]),
        data[62:] if has & 4 else None,
    )


class Runner:
    """Executes transactions of one block, each on what the ones before it left, and tells what they did.

    heap  where the state is; it is read, and not written.
    """

    def __init__(self, heap: Reading, env: BlockEnv, prefix: Key = STATE_PREFIX) -> None:
        self.fork = watched_fork(env.rules)
        self.env = env
        self.state = WatchedState(heap, account_maker(self.fork.types), prefix)
        self._block = block_environment(self.fork, env, self.state)

    def run(
        self,
        index: int,
        plain: PlainTransaction,
        *,
        gas_before: int = 0,
        blob_gas_before: int = 0,
        ahead_of: bytes = b"",
    ) -> Effect:
        """Execute the transaction that stands at a place in the block.

        gas_before, blob_gas_before  what those before it in the block used, where that is known.
        ahead_of  the sender, as far as is known: its transactions before this one may not have been executed here, and
                  are taken to have been as far as its nonce goes.

        Raises Refused when it may not be executed here, and LookupError as evm.execute; it then has done nothing.
        """
        fork, state = self.fork, self.state
        state.begin_notes()
        if ahead_of:
            state.leap(ahead_of, nonce_of(plain))
        output = fork.vm.BlockOutput()
        output.block_gas_used = Uint(gas_before)
        if blob_gas_before:
            output.blob_gas_used = U64(blob_gas_before)
        try:
            transaction = build(fork, plain)
        except (ValueError, OverflowError) as error:
            raise Refused(rule_of(error)) from None
        try:
            fork.fork.process_transaction(self._block, output, transaction, Uint(index))
        except EthereumException as error:
            state.abandon()
            raise Refused(rule_of(error)) from None
        except LookupError:
            state.abandon()
            raise
        if ahead_of and state.sender != ahead_of:
            state.abandon()
            raise Refused("it is of another sender than was said")
        (failure, gas_after, logs) = output.receipts_trie._data[output.receipt_keys[0]]
        accounts = state.touched()
        if all(each.address != self.env.coinbase for each in accounts):
            # With nothing to earn, what becomes of the miner's account depends on whether there is anything in it.
            state.reads.update([self.env.coinbase + what for what in (NONCE, BALANCE, CODE, ALIVE)])
        state.reads.discard(state.sender + NONCE)
        return Effect(
            sender=state.sender,
            reads=frozenset(state.reads),
            ranges=tuple((bytes(address), *state.ranges[address]) for address in sorted(state.ranges)),
            accounts=accounts,
            slots=state.changed_slots(),
            gas_used=int(gas_after) - gas_before,
            blob_gas=int(getattr(output, "blob_gas_used", 0)) - blob_gas_before,
            status=int(failure is None) if fork.since("byzantium") else None,
            bloom=bloom_of(logs),
            logs=rlp_list(
                rlp_list((rlp_bytes(log.address), rlp_list(map(rlp_bytes, log.topics)), rlp_bytes(log.data)))
                for log in logs
            ),
            codes=tuple(sorted(state.codes.items())),
        )
