"""An exception of which nothing can be told ends its process, and not the machine."""

from __future__ import annotations

import pytest
from weird_programs import WEIRD, Top

import runtime
from actors import BlockFailed, ChildFailed
from actors.failures import text_of


@pytest.mark.parametrize("which", WEIRD)
async def test_a_root_that_fails_with_it_fails_its_block(which: str) -> None:
    async with runtime.Runtime(Top, workers=0) as rt:
        with pytest.raises(BlockFailed) as failed:
            await rt.advance({"which": which, "placement": None})
        assert failed.value.error == which
        assert str(failed.value).startswith("block 1 was not made")
        assert rt.head.number == 0
        assert (await rt.advance({"which": "Silent", "placement": "loop", "told": True})).data == "Silent"


@pytest.mark.parametrize("placement", ["loop", "worker"])
@pytest.mark.parametrize("which", WEIRD)
async def test_a_child_that_fails_with_it_is_told_by_name(which: str, placement: str) -> None:
    async with runtime.Runtime(Top, workers=1) as rt:
        block = await rt.advance({"which": which, "placement": placement, "told": True})
        assert block.data == which
        await rt.verify()
        with pytest.raises(BlockFailed) as failed:
            await rt.advance({"which": which, "placement": placement, "told": False})
        assert failed.value.error == "ChildFailed"
        assert isinstance(failed.value.__cause__, ChildFailed)
        assert failed.value.__cause__.__cause__ is not None


def test_what_can_be_told_is() -> None:
    assert text_of(WEIRD["WronglyNoted"]("a message")) == "a message\na note\n7\n<exception str() failed>"
    assert text_of(WEIRD["Unprintable"]()) == "<exception str() failed>"
