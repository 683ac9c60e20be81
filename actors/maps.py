"""Many items through one program: map, map_reduce, pipeline. Written with the system calls alone.

A program that is mapped reads `self.heap["item"]` and writes `self.heap["result"]`. Each item gets a process of its own, with
nothing in its heap but the item; so the results follow from the items alone, and come in their order, whoever ends first.
(Its name alone is that of its place in the window: `self.path`, and `self.random`, which is drawn from it, follow from that.)

Only so many items are under way at a time, the *window*. The next one is taken from the iterable, which may be an
asynchronous one, such as another map, when a result is handed out: so memory follows the window, however many there are. (What a process hands
out and gets is in its journal until `run` returns: with very many items, let it say `journal = False`.)

A pipeline has one child a stage, which keeps its heap from item to item. While the last stage has an item, the one before
it has the next, and so on: all of them run side by side.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, TypeVar

from actors.calls import EVERYTHING, Get, Put, made, quick
from actors.errors import CallRefused, ChildFailed, MissingKey, ProgramError
from actors.keys import encode_key
from actors.memory import slot_at
from actors.starting import How

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

    from actors.envelope import Limits
    from actors.process import Placement, Process

#: How many items are under way, unless the caller says so.
WINDOW: Final = 256

_END: Final[Any] = object()
_ITEM: Final = encode_key("item")
_RESULT: Final = (encode_key("result"),)
_WHOLE: Final = (EVERYTHING,)
_R = TypeVar("_R")


class Stream:
    """Results as they come: `async for result in …`. Who leaves before the last one closes it, or uses `async with`."""

    def __init__(self, process: Process, items: Iterable[Any] | AsyncIterable[Any], named: str) -> None:
        self._process = process
        #: The items that are left: one of the two.
        self._items: Iterator[Any] | None = None
        self._coming: AsyncIterator[Any] | None = None
        if isinstance(items, AsyncIterable):
            self._coming = aiter(items)
        else:
            try:
                self._items = iter(items)
            except TypeError:
                kind = type(items).__qualname__
                raise CallRefused(f"{named}: items is an object of type {kind}; it is an iterable of values") from None
        #: The children that there are.
        self._names: list[str] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        raise NotImplementedError

    async def aclose(self) -> None:
        """End what is under way."""
        names, self._names = self._names, []
        for name in names:
            await self._process.drop(name)
        coming, self._coming = self._coming, None
        if isinstance(coming, (Stream, AsyncGenerator)):
            await coming.aclose()

    async def _take(self) -> Any:
        """Return the next item, or `_END`."""
        if self._items is not None:
            return next(self._items, _END)
        return _END if self._coming is None else await anext(self._coming, _END)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.aclose()


class Results(Stream):
    """The results of a map, in the order of the items."""

    def __init__(
        self,
        process: Process,
        named: str,
        program: type[Process],
        items: Iterable[Any] | AsyncIterable[Any],
        window: int,
        how: How,
        return_exceptions: bool,
    ) -> None:
        super().__init__(process, items, "map")
        self._named = named
        self._program = program
        self._window = window
        self._how = how
        self._returns = return_exceptions
        self._under_way: deque[str] = deque()
        self._begun = False
        #: How many results were handed out.
        self._count = 0

    async def __anext__(self) -> Any:
        if not self._begun:
            await self._begin()
        if not self._under_way:
            await self.aclose()
            raise StopAsyncIteration
        name = self._under_way.popleft()
        try:
            result = await made(quick(Get, (name, _RESULT)))
        except ChildFailed as error:
            if not self._returns:
                error.add_note(f"it had item {self._count} of a map, counted from 0")
                raise
            result = error
        self._count += 1
        item = next(self._items, _END) if self._items is not None else await self._take()
        if item is not _END:
            # As `How.start` does it, of which nothing but the item is to be checked again.
            values = ((_ITEM, slot_at("item", item)),)
            gas, placement, limits = self._how
            await made(quick(Put, (name, values, self._program, _WHOLE, True, gas, placement, limits, "replace")))
            self._under_way.append(name)
        return result

    async def _begin(self) -> None:
        self._begun = True
        for slot in range(self._window):
            item = await self._take()
            if item is _END:
                break
            name = f"{self._named}.{slot}"
            await self._how.start(self._process, name, self._program, {"item": item})
            self._names.append(name)
            self._under_way.append(name)


class Pipeline(Stream):
    """What comes out of the last stage, in the order of the items."""

    def __init__(
        self,
        process: Process,
        named: str,
        stages: Sequence[type[Process]],
        items: Iterable[Any] | AsyncIterable[Any],
        how: How,
    ) -> None:
        super().__init__(process, items, "pipeline")
        self._stages = [f"{named}.{stage}" for stage in range(len(stages))]
        self._programs = stages
        self._how = how
        self._busy = [False] * len(stages)

    async def __anext__(self) -> Any:
        last = len(self._stages) - 1
        while True:
            out = _END
            for stage in range(last, -1, -1):
                if self._busy[stage]:
                    result = await self._result(stage)
                    if stage == last:
                        out = result
                    elif result is not _END:
                        await self._feed(stage + 1, result)
            item = await self._take()
            if item is not _END:
                await self._feed(0, item)
            if out is not _END:
                return out
            if not any(self._busy):
                await self.aclose()
                raise StopAsyncIteration

    async def _result(self, stage: int) -> Any:
        """Return what a stage made of its item; a stage that wrote no result keeps the item to itself."""
        self._busy[stage] = False
        try:
            return await self._process.get(self._stages[stage], "result")
        except MissingKey:
            return _END

    async def _feed(self, stage: int, item: Any) -> None:
        name = self._stages[stage]
        self._busy[stage] = True
        if name in self._names:
            await self._process.put(name, {"item": item}, delete=("result",), start=True, gas=self._how.gas)
            return
        await self._how.start(self._process, name, self._programs[stage], {"item": item})
        self._names.append(name)


class Maps:
    """What a process has of these."""

    #: How many streams this activation has begun: no two have children of the same names.
    _streams = 0

    def map(
        self,
        program: type[Process],
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        window: int = WINDOW,
        gas: int | None = None,
        placement: Placement | None = None,
        limits: Limits | None = None,
        return_exceptions: bool = False,
    ) -> Results:
        """Run a program on every item: `async for result in self.map(Square, range(1000))`.

        Args:
            program: it reads "item" from its heap, and writes "result".
            items: values; each is taken when there is room for it. An iterable, or an asynchronous one.
            window: how many are under way at a time, at least 1. On workers, items that are cheap want a large one.
            gas: what each of them may use.
            placement: where they run, as for `put`.
            limits: what each may have, as for `put`.
            return_exceptions: whether what fails gives its ChildFailed in the place of a result; else that is raised.

        Returns:
            An asynchronous iterator of the results, in the order of the items.

        Raises:
            ChildFailed, OutOfGas: (on the way) an item failed.
            MissingKey: (on the way) a program wrote no result.
        """
        if type(window) is not int or window < 1:
            raise CallRefused(f"map: window is {window!r}; it is how many items are under way, at least 1")
        if not isinstance(program, type):
            raise ProgramError(f"map: {program!r} is no program; that comes first, and then the items")
        how = How(gas, placement, limits)
        return Results(self._process(), self._name("map"), program, items, window, how, return_exceptions)

    async def map_reduce(
        self,
        program: type[Process],
        items: Iterable[Any] | AsyncIterable[Any],
        reduce: Callable[[_R, Any], _R],
        initial: _R,
        *,
        window: int = WINDOW,
        gas: int | None = None,
        placement: Placement | None = None,
        limits: Limits | None = None,
    ) -> _R:
        """Run a program on every item, and fold the results into one in the order of the items.

        Args:
            program: as for `map`, and so are the rest.
            items: values.
            reduce: makes (what there is so far, a result) into what there is.
            initial: what there is before the first.
            window: as for `map`.
            gas: as for `map`.
            placement: as for `map`.
            limits: as for `map`.

        Raises:
            ChildFailed, OutOfGas, MissingKey: as for `map`.
        """
        if not callable(reduce):
            raise CallRefused(
                f"map_reduce: reduce is {reduce!r}; it is a function (so far, result), before the initial value"
            )
        total = initial
        async with self.map(program, items, window=window, gas=gas, placement=placement, limits=limits) as results:
            async for result in results:
                total = reduce(total, result)
        return total

    def pipeline(
        self,
        stages: Sequence[type[Process]],
        items: Iterable[Any] | AsyncIterable[Any],
        *,
        gas: int | None = None,
        placement: Placement | None = None,
        limits: Limits | None = None,
    ) -> Pipeline:
        """Send every item through stages, one process each: `async for out in self.pipeline([Parse, Price], lines)`.

        A stage reads "item" from its heap and writes "result", which is the next stage's item; what else it writes is
        there for its next item. One that writes no result keeps the item to itself.

        Args:
            stages: their programs, one at least.
            items: values; each is taken when the first stage is free.
            gas: what each stage may use for an item.
            placement: where they run, as for `put`.
            limits: what each may have, as for `put`.

        Returns:
            An asynchronous iterator of what comes out of the last stage, in order.

        Raises:
            ChildFailed, OutOfGas: (on the way) a stage failed.
        """
        if not isinstance(stages, Sequence) or not stages:
            raise CallRefused(f"pipeline: stages is {stages!r}; it is a list of programs, one at least")
        return Pipeline(self._process(), self._name("pipeline"), stages, items, How(gas, placement, limits))

    def _process(self) -> Process:
        return self  # type: ignore[return-value]

    def _name(self, kind: str) -> str:
        self._streams += 1
        return f"{kind} {self._streams}"
