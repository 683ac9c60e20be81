"""The stepper: performs the kernel's effects for processes on the event loop, by hand.

A process is a coroutine that is resumed with `send` and yields system calls: no task, queue or stream of its own
(a task costs ten times as much, and its order is the event loop's). What comes out of a step is an event for the kernel.

Each activation has a context of its own for context variables (runtime.interpreter), at no cost where it sets none: all those
are stepped in one that is empty. A process that has put something into it has it for its own from then on, and the
others get a new one.

The order in which effects of different processes are performed cannot be seen by any of them. It is the agenda's,
unless a `Shuffle` takes them in an order of its own: that is how tests and `verify` look for programs in which it shows.
"""

from __future__ import annotations

import random
import sys
import warnings
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from actors.calls import CALLS
from actors.cells import damage
from actors.errors import KernelBug, ReplayDiverged, StoreError
from actors.keys import path_text
from runtime.events import Failed, Returned
from runtime.guards import here, install
from runtime.interpreter import decimal_defaults, deepen
from runtime.journal import replay
from runtime.metering import enter, leave, metered, use_up
from runtime.position import foreign_await

if TYPE_CHECKING:
    from collections import deque

    from actors.meter import Meter
    from runtime.events import Effect
    from runtime.kernel import Kernel
    from runtime.record import Record


#: Exceptions that are the machine's, and must not become a process's trap.
_OURS: Final = (KernelBug, ReplayDiverged, StoreError)


_RETURNED: Final = Returned(None)
#: No recursion limit.
_UNSEEN: Final = -1


class _Left(NamedTuple):
    """What is left of a run, to be gone on with in another context; see `Stepper._perform`."""

    steps: int
    effect: Effect | None = None
    stepped: Record | None = None
    event: Any = None


class Order(Protocol):
    """Chooses which effect on the agenda is performed next."""

    def take(self, agenda: deque[Effect]) -> Effect:
        """Remove one effect from a non-empty agenda and return it."""
        ...


class Shuffle:
    """Performs effects in an order drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311

    def take(self, agenda: deque[Effect]) -> Effect:
        """Remove one effect and return it."""
        agenda.rotate(-self._random.randrange(len(agenda)))
        return agenda.popleft()


class Stepper:
    """Steps the processes of a kernel.

    Args:
        kernel: whose effects to perform.
        order: in which order; None: the agenda's.
        forget: whether to forget the coroutine of a process whenever it stops in the middle, so that each is restored
            from its journal.
    """

    def __init__(self, kernel: Kernel, order: Order | None = None, *, forget: bool = False) -> None:
        self.kernel = kernel
        self.order = order
        #: For all processes that have set no context variable: nothing is in it.
        self._empty = Context()
        #: In a run: the recursion limit from before it; 0: it is left alone; `_UNSEEN`: it is still to be seen to.
        self._limit = _UNSEEN
        kernel.forget = forget
        install()

    def run(self, steps: int) -> bool:
        """Perform effects until the block is over, none are left, or so many were performed.

        Returns:
            Whether to go on: False when the block is over or nothing is left.
        """
        left = _Left(steps)
        here.cell.filters = warnings.filters
        self._limit = _UNSEEN
        try:
            with decimal_defaults:
                while True:
                    own = None if left.effect is None else left.effect[0].context
                    context = self._empty if own is None else own
                    done: _Left | bool = context.run(self._perform, own, *left)
                    if isinstance(done, bool):
                        return done
                    left = done
        except BaseException:
            self._empty = Context()
            raise
        finally:
            if self._limit > 0:
                sys.setrecursionlimit(self._limit)

    def _perform(
        self, own: Context | None, steps: int, effect: Effect | None, stepped: Record | None, event: Any
    ) -> _Left | bool:
        """Perform effects in the context in which this is called: all that are at home there.

        Args:
            own: the context of the one process that is stepped; None: it is the empty one.
            steps: how many may be performed.
            effect: what is performed first; None: what is next on the agenda.
            stepped: the process that was stepped last, of which the kernel is still to hear; None: it has heard.
            event: what that did.

        Returns:
            What is left to do in another context; or whether to go on, as `run` tells.
        """
        kernel = self.kernel
        agenda, order, empty = kernel.agenda, self.order if own is None else None, self._empty
        fence, found = here.cell, damage.found
        found.clear()
        if self._limit == _UNSEEN:
            self._limit = deepen()
        if stepped is not None:
            effect = kernel.handle(stepped, event)
            if effect is None and (kernel.closed is not None or kernel.failed is not None):
                return False
        while True:
            if effect is None or order is not None:
                if effect is not None:
                    agenda.append(effect)
                if not agenda:
                    return False
                effect = agenda.popleft() if order is None else order.take(agenda)
                steps -= 1
                if not kernel.begun(effect[0]):
                    effect = None
                    if steps <= 0:
                        return True
                    continue
            record, answer, error = effect
            if steps <= 0:
                agenda.appendleft(effect)
                return True
            if record.context is not own:
                return _Left(steps, effect)
            steps -= 1
            try:
                fence.program = record.program
                try:
                    activation = record.activation or self._begin(record)
                    if record.meter is None:
                        event = activation.send(answer) if error is None else activation.throw(error)
                    else:
                        event = _metered_step(record.meter, activation, answer, error)
                finally:
                    fence.program = None
            except StopIteration as stop:
                event = _RETURNED if stop.value is None else Returned(stop.value)
            except (KeyboardInterrupt, MemoryError, *_OURS) as ours:
                _note_place(ours, record)
                raise
            except BaseException as failure:
                event = Failed(failure)
            else:
                if type(event) not in CALLS:
                    effect = (record, None, foreign_await(record.path, activation, event))
                    if len(empty):
                        return self._moved(record, _Left(steps, effect))
                    continue
            if found:
                raise found.pop()
            if len(empty) or own is not None:
                return self._moved(record, _Left(steps, None, record, event))
            # Whoever forgets it has the last reference.
            activation = None
            effect = kernel.handle(record, event)
            if effect is None and (kernel.closed is not None or kernel.failed is not None):
                return False

    def _moved(self, record: Record, left: _Left) -> _Left:
        """Leave a process the context that it was stepped in, if that is not empty any more; return what is left to do."""
        if len(self._empty):
            record.context, self._empty = self._empty, Context()
        return left

    def _begin(self, record: Record) -> Any:
        """Return a coroutine that stands where the process does: at the top of `run`, or where its journal ends."""
        program = record.program
        assert program is not None
        if record.middle:
            outcome = record.journal.pop()
            record.activation = replay(record)
            record.journal.append(outcome)
        else:
            meter = record.meter
            instance = (program if meter is None else metered(program))()
            instance.machine_bind(record.memory, record.path, meter)
            record.activation = instance.run()
        return record.activation


def _note_place(error: BaseException, record: Record) -> None:
    """Note on an error of the host's memory which process it was that asked for more, and what helps."""
    if isinstance(error, MemoryError):
        assert record.program is not None
        told = (
            f"{path_text(record.path)} ({record.program.__qualname__}) asked for more memory than there is; it runs on the "
            'event loop, where that is the host\'s: place it on a worker whose memory is limited (placement="worker", '
            "worker_memory=…), or start it with gas"
        )
        BaseException.add_note(error, told)


def _metered_step(meter: Meter, activation: Any, answer: Any, error: BaseException | None) -> Any:
    enter(meter)
    try:
        return activation.send(answer) if error is None else activation.throw(error)
    except RecursionError:
        # How deep the stack can be differs between Python versions.
        use_up(meter)
        raise
    finally:
        leave()
