"""Verification: a block executed again, from nothing but the store, must give what the store says.

It is executed the hard way: no coroutine is at hand, so every process that stands in the middle is restored from its
journal, and effects are performed in another order than they were the first time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.errors import BlockUnknown, InputError, LockstepError, VerifyFailed
from actors.failures import name_of, text_of
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
    from collections.abc import Callable

    from actors.tree import Tree
    from runtime.chain import Block
    from runtime.history import History


async def verify_chain(
    history: History, first: int | None, last: int | None, progress: Callable[[Block], None] | None
) -> int:
    """Execute blocks of the chain again; return how many.

    Args:
        history: the chain.
        first: the first block's number; that of the first whose parent is kept, if not given.
        last: the last one's; the head's, if not given.
        progress: called with each block that was verified.

    Raises:
        VerifyFailed: at the first difference.
        BlockUnknown: the chain does not have them all, or not the state before the first.
        InputError: the first is the genesis.
    """
    wanted = last if first is None else first
    last = history.head.number if last is None else last
    first = history.first + 1 if first is None else first
    if not first >= 1:
        raise InputError(f"verify: the first block is {first}; block 0 is the genesis, which nothing executed")
    if wanted is not None and 0 < wanted <= history.first:
        raise BlockUnknown(
            f"block {wanted} cannot be verified: the state before it was pruned; the chain is kept from block "
            f"{history.first} on, so the first that can be is {history.first + 1}"
        )
    for number in range(first, last + 1):
        block = history.find(number)
        await verify_block(history.state(number - 1), block, history.state(number))
        if progress is not None:
            progress(block)
    return max(0, last - first + 1)


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
    try:
        await _execute(kernel, block, after)
    finally:
        kernel.end()


async def _execute(kernel: Kernel, block: Block, after: Tree) -> None:
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
        told = f"the root failed with {name_of(failures)}: {text_of(failures)}"
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
