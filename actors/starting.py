"""How the library's pieces start the children of which they have many alike: each on a heap of its own, with nothing else in it.

Whatever was there under its name is dropped first; `delete` says the same of the heap once more, for a child that has no more
than that is then used again as it is, which costs half as much.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from actors.region import WHOLE

if TYPE_CHECKING:
    from collections.abc import Coroutine, Mapping

    from actors.envelope import Limits
    from actors.process import Placement, Process


class How(NamedTuple):
    """What PUT is told of each of them."""

    gas: int | None
    placement: Placement | None
    limits: Limits | None

    def start(
        self, process: Process, name: str, program: type[Process], values: Mapping[Any, Any]
    ) -> Coroutine[Any, Any, None]:
        """Start a child of a process, as a new one."""
        return process.put(
            name,
            values,
            program=program,
            delete=WHOLE,
            start=True,
            gas=self.gas,
            placement=self.placement,
            limits=self.limits,
            new="replace",
        )
