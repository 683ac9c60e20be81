"""Waiting: the tasks that were not sent yet, and which of them travel next, together.

- What begins together for one slot travels together, in batches of about `_BATCH_S`, and of `_WORTH_S` at least: to send
  one costs as much as to run a small activation. As much as that is sent as soon as it is started, if a slot has nothing to
  do: its parent may have much to do before it waits.
- Two batches are under way in a slot while more are waiting than there are slots, so that it is never idle; one towards
  the end, so that no slot has the last two while another has none; and one where activations are so long that the way
  back and there does not count, for what stands behind a long one cannot be done elsewhere.
- A process whose state is large, or which stands in the middle of `run`, waits for the slot that has it in memory; unless
  that has too much to do, and another one nothing.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from runtime.workers.placement import Costs
    from runtime.workers.tasks import Place, Task

#: About how long a batch is to take, and how long at least, if there is as much.
_BATCH_S: Final = 0.01
_WORTH_S: Final = 0.000_3
_BATCH_JOBS_MAX: Final = 256
#: What takes longer than this is never sent ahead of its time.
_LONG_S: Final = 0.02
#: A worker that has so much waiting for it gives some to one that has nothing.
_BACKLOG_S: Final = 0.02


class Waiting:
    """The tasks that wait: for any slot, or for the one where their process is (`Place.waiting`).

    Args:
        places: the slots.
        costs: what activations take.
    """

    def __init__(self, places: Sequence[Place], costs: Costs) -> None:
        self._places = places
        self._costs = costs
        self._anywhere: deque[Task] = deque()

    def __bool__(self) -> bool:
        return bool(self._anywhere) or any(place.waiting for place in self._places)

    @property
    def anywhere(self) -> bool:
        """Whether a task waits that any slot may do."""
        return bool(self._anywhere)

    def add(self, task: Task) -> bool:
        """Put a task at the end; tell whether as much waits there now as is worth sending."""
        lodging = task.lodging
        queue = self._anywhere if lodging is None or not lodging.there() else lodging.place.waiting
        queue.append(task)
        return len(queue) * self._seconds(task) >= _WORTH_S

    def add_first(self, task: Task) -> None:
        """Put a task that was sent before in front of all others, for any slot."""
        self._anywhere.appendleft(task)

    def let_go(self, place: Place) -> None:
        """Let what waits for a slot be done anywhere: its worker is no more."""
        self._anywhere.extendleft(reversed(place.waiting))
        place.waiting.clear()

    def clear(self) -> None:
        """Forget them all."""
        self._anywhere.clear()
        for place in self._places:
            place.waiting.clear()

    def depth(self, place: Place) -> int:
        """Return how many batches are to be under way in a slot."""
        queue = place.waiting or self._anywhere
        if not queue or (self._costs.seconds(queue[0].cls) or 0.0) > _LONG_S:
            return 1
        return 2 if len(self._anywhere) + len(place.waiting) > len(self._places) else 1

    def take(self, place: Place, wanted: Callable[[Task], bool]) -> list[Task]:
        """Take out what travels to a slot together, next: none, where nothing waits for it.

        Args:
            place: the slot.
            wanted: tells whether a task is still to be done; it is taken out in either case.
        """
        tasks: list[Task] = []
        seconds = 0.0
        share = -(-len(self._anywhere) // (2 * len(self._places)))
        if self._anywhere:
            share = max(share, math.ceil(_WORTH_S / self._seconds(self._anywhere[0])))
        while len(tasks) < _BATCH_JOBS_MAX and seconds < _BATCH_S:
            queue = place.waiting or (self._anywhere if len(tasks) < share else None) or self._backlog(place, tasks)
            if not queue:
                break
            task = queue[0]
            if task.alone and (tasks or self._elsewhere(task, place)):
                break
            queue.popleft()
            if not wanted(task):
                continue
            tasks.append(task)
            if task.alone:
                break
            seconds += self._seconds(task)
        return tasks

    def _seconds(self, task: Task) -> float:
        """Return about how long a task takes; where nobody knows, it may be long."""
        return self._costs.seconds(task.cls) or _BATCH_S

    def _elsewhere(self, task: Task, place: Place) -> bool:
        """Tell whether a task whose worker died at a place can be run at another one at once."""
        return task.avoids is place and any(not other.flights for other in self._places if other is not place)

    def _backlog(self, place: Place, tasks: list[Task]) -> deque[Task] | None:
        """Return the queue of a slot that has more than it can do soon, for one that has nothing at all."""
        if tasks or place.flights:
            return None
        for other in self._places:
            known = [self._seconds(task) for task in other.waiting]
            if len(known) > 1 and sum(known) > _BACKLOG_S:
                return other.waiting
        return None
