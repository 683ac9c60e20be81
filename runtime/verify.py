"""Verification: a block executed again, from nothing but the store, must give what the store says.

It is executed the hard way: no coroutine is at hand, so every process that stands in the middle is restored from its
journal, and effects are performed in another order than they were the first time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import LockstepError, VerifyFailed
from actors.keys import path_text
from actors.memory import form_of
from actors.values import decode
from runtime.difference import first_difference
from runtime.driver import drive
from runtime.events import Input
from runtime.inputs import block_input
from runtime.kernel import Kernel
from runtime.metering import COSTS_VERSION
from runtime.programs import code_digest, lifted_by
from runtime.stepper import Shuffle, Stepper

if TYPE_CHECKING:
    from actors.tree import Tree
    from runtime.chain import Block


async def verify_block(before: Tree, block: Block, after: Tree) -> None:
    """Execute a block again and compare its state root, data, gas.

    Args:
        before: the state of its parent.
        block: the block.
        after: its state, as the store has it.

    Raises:
        VerifyFailed: at the first difference.
    """
    if block.costs not in (None, COSTS_VERSION):
        hint = "execute it with the version of Lockstep that has that cost table"
        raise VerifyFailed(block.number, "/", "cost table", str(block.costs), str(COSTS_VERSION), hint)
    _, value, entries = block_input(block.inputs)
    kernel = Kernel.load(before)
    if block.faults:
        kernel.recorded = {(path, turn): error for path, turn, error in block.faults}
        kernel.turns = {}
    kernel.handle(kernel.root, Input(value, entries))
    hint = (
        "a program depends on something beside its heap and its calls (time, randomness, the order of a set, a global)"
    )
    try:
        await drive(Stepper(kernel, Shuffle(block.number), forget=True))
    except LockstepError as error:
        raise VerifyFailed(block.number, "/", "execution", "a block", str(error), hint) from error
    finally:
        failures = kernel.failed
    if failures is not None:
        told = f"the root failed with {type(failures).__name__}: {failures}"
        raise VerifyFailed(block.number, "/", "execution", "a block", told, hint) from failures
    closed = kernel.closed
    assert closed is not None
    if code_digest(closed.programs) != block.code:
        hint = "the programs' code has changed since that block was made"
    state = kernel.state()
    if state.digest() != block.state_root:
        path, what, expected, got = first_difference(after, state)
        raise VerifyFailed(block.number, path_text(path), what, expected, got, hint)
    data = form_of(closed.data)
    if data != block.data_form:
        got_data = "nothing" if data is None else repr(decode(data))
        raise VerifyFailed(block.number, "/", "block data", repr(block.data), got_data, hint)
    if closed.faults != block.faults:
        raise VerifyFailed(block.number, "/", "host faults", repr(block.faults), repr(closed.faults), hint)
    if (lifted := lifted_by(closed.programs)) != block.lifted:
        raise VerifyFailed(block.number, "/", "lifted guards", repr(block.lifted), repr(lifted), hint)
    if closed.used != block.gas_used:
        raise VerifyFailed(block.number, "/", "gas used", str(block.gas_used), str(closed.used), hint)
