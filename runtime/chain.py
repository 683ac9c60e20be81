"""Blocks: what one is, and its bytes.

A block's header, format 1, is the canonical encoding (actors.values) of the tuple

    ("lockstep block", 1, number, parent's hash, digest of the inputs, digest of the data, gas used, state root,
     digest of the programs' code)

and its hash is the SHA-256 of that. Header format 2 has three more, and only a block that has one of them has it:

    the version of the cost table by which it was metered, or None;
    the guards that its programs lifted: (program, names of guards, modules allowed beside the usual ones), by program;
    the host faults of which a parent learned in it: they are not a matter of the inputs alone, and whoever executes the
    block again must be told. Each is (path, how often that process had been waited for in the block before, what it was).

Digests are SHA-256 of canonical encodings; the genesis, block 0, has b"" for its
parent and no inputs or data (None). The record in the store is the canonical encoding of

    (header, inputs, data, (label, count, digest, number) of the top node of the state, or None of an empty one)

with the first three as bytes, so that a list of blocks need not decode what came in.
"""

from __future__ import annotations

import dataclasses
from functools import cached_property
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

from actors.errors import CodecError, LimitExceeded, StoreDamaged
from actors.limits import VALUE_BYTES_MAX
from actors.nodes import NIBBLES, Node
from actors.tree import EMPTY, Tree
from actors.values import decode, encode

if TYPE_CHECKING:
    from actors.cells import NodeSource
    from actors.keys import Path

_TITLE: Final = "lockstep block"
_FORMAT: Final = 1
_FORMAT_WITH_MORE: Final = 2


@dataclasses.dataclass(frozen=True)
class Block:
    """A closed block.

    Attributes:
        number: its height; the genesis is 0.
        parent: its parent's hash; b"" for the genesis.
        gas_used: what the metered activations in it used.
        state_root: the Merkle root of the whole machine behind it, 32 bytes.
        code: the digest of the source of the programs that ran in it.
        inputs_form: the encoded inputs.
        data_form: the encoded data.
        faults: the host faults of which a parent learned in it, by path.
        costs: the version of the cost table by which its gas was counted; None: nothing was metered.
        lifted: what guards its programs lifted: (program, guards, modules allowed beside the usual ones).
    """

    number: int
    parent: bytes
    gas_used: int
    state_root: bytes
    code: bytes
    inputs_form: bytes = dataclasses.field(repr=False)
    data_form: bytes = dataclasses.field(repr=False)
    faults: tuple[tuple[Path, int, str], ...] = ()
    costs: int | None = None
    lifted: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = ()

    @cached_property
    def inputs(self) -> Any:
        """What the root received: the value that `advance` was given, frozen."""
        return decode(self.inputs_form)

    @cached_property
    def data(self) -> Any:
        """What the root returned, or gave to `snapshot`."""
        return decode(self.data_form)

    @cached_property
    def inputs_digest(self) -> bytes:
        """The SHA-256 of the encoded inputs."""
        return sha256(self.inputs_form).digest()

    @cached_property
    def header(self) -> bytes:
        """The bytes whose SHA-256 is the block's hash."""
        more = (self.costs, self.lifted, self.faults)
        has_more = more != (None, (), ())
        return encode(
            (
                _TITLE,
                _FORMAT_WITH_MORE if has_more else _FORMAT,
                self.number,
                self.parent,
                self.inputs_digest,
                sha256(self.data_form).digest(),
                self.gas_used,
                self.state_root,
                self.code,
                *(more if has_more else ()),
            )
        )

    @cached_property
    def hash(self) -> bytes:
        """The block's hash: 32 bytes that pin everything in it and before it."""
        return sha256(self.header).digest()

    @staticmethod
    def of(header: bytes, inputs: bytes, data: bytes) -> Block:
        """Return the block of a header, the inputs and the data.

        Raises:
            CodecError, ValueError, TypeError: that is no header, or not that of these.
        """
        title, form, number, parent, inputs_digest, data_digest, gas_used, state_root, code, *more = decode(header)
        if title != _TITLE or form not in (_FORMAT, _FORMAT_WITH_MORE):
            raise CodecError(f"a header of {title!r}, format {form!r}")
        costs, lifted, faults = more or (None, (), ())
        block = Block(number, parent, gas_used, state_root, code, inputs, data, faults, costs, lifted)
        if (block.inputs_digest, sha256(data).digest()) != (inputs_digest, data_digest):
            raise CodecError("its inputs or data are not those of its header")
        for path, turn, error in faults:
            if type(turn) is not int or type(error) is not str or not {type(name) for name in path} <= {int, str}:
                raise CodecError("its host faults are none")
        if type(costs) not in (int, type(None)):
            raise CodecError("its cost table has no version")
        for program, guards, modules in lifted:
            if not {type(name) for name in (program, *guards, *modules)} <= {str}:
                raise CodecError("what its programs lifted has no names")
        if block.header != header:
            raise CodecError("its header has what no header has")
        return block

    def record(self, state: Tree) -> bytes:
        """Return the block's record. The nodes of its state must be numbered.

        Raises:
            LimitExceeded: its inputs and its data are too long together.
        """
        node = state.node
        top = None if node is None else (state.label, node.count, node.digest, node.number)
        try:
            return encode((self.header, self.inputs_form, self.data_form, top))
        except LimitExceeded as error:
            raise LimitExceeded(
                f"block {self.number}: its inputs are {len(self.inputs_form)} bytes, and what the root returned or gave to "
                f"snapshot is {len(self.data_form)}; together that is more than the {VALUE_BYTES_MAX} that a block keeps of "
                "both: return less, and keep the rest in the heap, or give the inputs in several blocks"
            ) from error


def read_record(record: bytes, digest: bytes, source: NodeSource) -> tuple[Block, Tree]:
    """Return the block of a record, and its state, whose nodes come from `source` when they are needed.

    Raises:
        StoreDamaged: the record is not that of the block with this hash.
    """
    try:
        header, inputs, data, top = decode(record)
        block = Block.of(header, inputs, data)
        if top is not None and max(top[0], default=0) >= NIBBLES:
            raise CodecError("the label of its state's top node is no path")
        state = EMPTY if top is None else Tree(top[0], Node.stub(top[1], top[2], top[3], source))
        if sha256(header).digest() != digest:
            raise CodecError("its header does not have its hash")
        if state.digest() != block.state_root:
            raise CodecError("its state is not that of its header")
    except (CodecError, ValueError, TypeError, AttributeError) as error:
        raise StoreDamaged(f"the record of block {digest.hex()[:16]}… is damaged: {error}") from error
    return block, state
