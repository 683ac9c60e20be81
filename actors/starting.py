"""How the library's pieces start the children of which they have many alike: each on a heap of its own, with nothing else in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from actors.region import WHOLE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from actors.envelope import Limits
    from actors.process import Placement, Process


class How(NamedTuple):
    """What PUT is told of each of them."""

    gas: int | None
    placement: Placement | None
    limits: Limits | None

    async def start(self, process: Process, name: str, program: type[Process], values: Mapping[Any, Any]) -> None:
        """Start a child of a process for the first time."""
        await process.put(
            name,
            values,
            program=program,
            delete=WHOLE,
            start=True,
            gas=self.gas,
            placement=self.placement,
            limits=self.limits,
        )
