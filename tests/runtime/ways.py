"""One chain of blocks, made in every way in which it can be made: all must give the same hashes."""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import runtime
from runtime.stepper import Shuffle

if TYPE_CHECKING:
    from actors import Root


async def make(program: type[Root], inputs: list[Any], **how: Any) -> list[runtime.Block]:
    """Make the blocks with one runtime, and verify them."""
    async with runtime.Runtime(program, **how) as rt:
        made = [await rt.advance(value) for value in inputs]
        assert await rt.verify() == len(inputs)
    return made


async def make_data(program: type[Root], *inputs: Any, **how: Any) -> list[Any]:
    """Make the blocks, one without inputs if none are given, and verify them; return the data of each."""
    return [block.data for block in await make(program, list(inputs) or [{}], **how)]


async def every_way(program: type[Root], inputs: list[Any], placed: type[Any] | None = None) -> list[Any]:
    """Make the blocks in every way; return the data of each.

    Args:
        program: the root.
        inputs: of the blocks.
        placed: the program whose activations are to be on workers as well.
    """
    blocks = await make(program, inputs, workers=0)
    expected = [block.hash for block in blocks]
    for how in ({"order": Shuffle(1)}, {"forget": True}, {"order": Shuffle(2), "forget": True}):
        assert [block.hash for block in await make(program, inputs, workers=0, **how)] == expected, how
    with patch("runtime.kernel.core.RECORDS_KEPT_MAX", 0):
        assert [block.hash for block in await make(program, inputs, workers=0)] == expected, "shed"
    with tempfile.TemporaryDirectory() as directory:
        for value, digest in zip(inputs, expected, strict=True):
            async with runtime.Runtime(program, Path(directory, "a.db"), workers=0) as rt:
                assert (await rt.advance(value)).hash == digest, "reopened"
    if placed is not None:
        with patch.object(placed, "placement", "worker"), ThreadPoolExecutor(2) as pool:
            assert [block.hash for block in await make(program, inputs, executor=pool)] == expected, "threads"
            with tempfile.TemporaryDirectory() as directory:
                made = await make(program, inputs, store=Path(directory, "b.db"), workers=2)
                assert [block.hash for block in made] == expected, "workers"
                for value, digest in zip(inputs, expected, strict=True):
                    async with runtime.Runtime(program, Path(directory, "c.db"), workers=1) as rt:
                        assert (await rt.advance(value)).hash == digest, "workers, reopened"
    return [block.data for block in blocks]
