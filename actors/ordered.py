"""Ordered transactions: a list of them run side by side, with the result that they have one after the other. Always.

A *wave* is some groups of transactions that run at the same time, each in a child that has the state by reference; a group
runs its own in the list's order, and tells for each what it observed and did (`actors.recording`). What they did is settled
in the order of the list: a transaction that observed nothing that came out otherwise is taken as it is, any other is run
again with a later wave (`actors.speculation`). So which wave and which group a transaction was in has no say in any result.

    not run ──plan──▶ under way ──its group has stopped──▶ run ──its turn, and it holds──▶ settled
       ▲                  │ the group failed                │
       └──────────────────┴────── what it observed is stale ┘

Which run together follows from what they touch (`actors.waves`): from the program's hints, else from an earlier run. How many
do, and when rather a stretch of the list is one group, in which nothing can be stale and which costs what a loop costs,
follows from how many held so far (`actors.pace`). While a wave is settled the next one is under way, unless nothing is known
of it yet.

The state that children get stays the same all the time, so that those on workers read of it what they have not read yet; a
group is told beside it what is under the keys that its transactions touch. Where it is not known what they touch, its child
is told all that was changed since it was told last. What was changed is kept here until the end: whatever fails, the
caller's heap is as it was.

(Block-STM: Gelashvili and others, "Scaling Blockchain Execution by Turning Ordering Curse to a Performance Blessing", PPoPP
2023. Its versions live in shared memory, and its scheduler decides by what comes first; here nothing is shared, and the
schedule follows from counts, so that what is run twice, and what it costs in gas, is the same on every machine.)
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Iterable
from itertools import chain
from typing import TYPE_CHECKING, Any, Final, cast

from actors.bundles import Bundle
from actors.errors import CallRefused, ChildFailed, ProgramError
from actors.groups import Child, Group, Known, Ran
from actors.keys import encode_key
from actors.memory import Formed, form_of, to_slot, value_of
from actors.pace import Pace
from actors.recording import GIVEN, OVER, STATE, TOLD, Effect, Operations, Refusal, news
from actors.region import WHOLE, Region
from actors.settled import Settled, compared
from actors.speculation import Speculation
from actors.starting import How
from actors.values import show
from actors.waves import Plan, Stage, Step, gain, plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from actors.envelope import Limits
    from actors.keys import Key
    from actors.process import Placement, Process
    from actors.transactions import Transaction

#: Into how many groups a wave is dealt, unless the caller says so. More workers than that have nothing to do.
GROUPS: Final = 4
#: So many waves are under way at a time.
DEPTH: Final = 2
#: How much further than its window a plan looks.
AHEAD: Final = 4
#: A child reads all that it was told of the state each time it runs. When that has been so many times what there is to be
#: told, a state is made that has it.
REREAD: Final = 16
#: What a child is given anew for each group.
_RENEWED: Final = (Region(OVER), Region(GIVEN), Region(TOLD))


class Ordered:
    """What a process has of these."""

    #: How many lists this activation has begun: no two have children of the same names.
    _lists = 0

    async def transact(
        self,
        program: type[Transaction],
        transactions: Iterable[Any],
        *,
        region: Key = (),
        groups: int = GROUPS,
        gas: int | None = None,
        placement: Placement | None = None,
        limits: Limits | None = None,
    ) -> list[Any]:
        """Do transactions on this heap, one after the other or as if they were.

        Args:
            program: what each of them does, a subclass of `actors.Transaction`.
            transactions: values.
            region: what they are about, as a key: they see all that begins with it, by the rest of the key.
            groups: how many run side by side; the result does not depend on it, but gas does, where it is metered.
            gas: what each group may use, as for `put`.
            placement: where they run, as for `put`.
            limits: what each group may have, as for `put`. Where there are limits, its own entries count as well.

        Returns:
            For each transaction, in order: its result, or `actors.Refusal` with the class name of what it raised.

        Raises:
            ProgramError: an argument is refused.
            LimitExceeded: this heap would have too many entries.
            ChildFailed, OutOfGas: a transaction cannot be run, even alone and in its turn: no refusal, but an empty meter,
                a stack that is too deep, a call that the guards refuse. The heap is as it was.
        """
        _check(program, transactions, region, groups)
        process = cast("Process", self)
        self._lists += 1
        batch = _List(process, program, transactions, region, groups, f"transact {self._lists}")
        try:
            await batch.run(How(gas, placement, limits))
        except Exception:
            # On any other exception the process is at its end, and makes no more calls.
            await batch.drop()
            raise
        await batch.drop()
        return batch.finish()


class _List:
    """The transactions of one list, and how far they are.

    Args:
        process: on whose heap.
        program: what each does.
        transactions: values.
        region: what they are about.
        groups: how many run side by side.
        named: what the children's names begin with.
    """

    def __init__(
        self,
        process: Process,
        program: type[Transaction],
        transactions: Iterable[Any],
        region: Key,
        groups: int,
        named: str,
    ) -> None:
        self._process = process
        self._program = program
        self._groups = groups
        self._named = named
        self._given: list[bytes] = []
        #: What each touches, as far as is known: by which it is planned, and of which its group is told; None: nothing is.
        self._touched: list[frozenset[bytes] | None] = []
        self._wanted: list[frozenset[bytes] | None] = []
        hints = _Hints(program)
        for transaction in transactions:
            slot = to_slot(transaction)
            form = form_of(slot)
            assert form is not None
            touched, wanted = hints.of(len(self._given), value_of(slot))
            self._given.append(form)
            self._touched.append(touched)
            self._wanted.append(wanted)
        self._count = len(self._given)
        #: Those of which nothing is known, and that were not sent yet.
        self._untried = {place for place, touched in enumerate(self._touched) if touched is None}
        #: All before this one are settled.
        self._next = 0
        self._results: list[Any] = []
        #: Those that are under way; and those that were run, and wait for their turn.
        self._away: set[int] = set()
        self._ran: dict[int, Ran] = {}
        #: Where those ran before that are not settled yet, in vain; and how often they did.
        self._earlier: dict[int, list[tuple[Group, Effect]]] = {}
        #: Groups that were told of one before its turn, and of what.
        self._foretold: dict[int, list[tuple[Group, Effect]]] = {}
        #: Those whose group failed: each is run alone, in its turn.
        self._suspect: set[int] = set()
        self._settled = Settled(process.heap, region, Operations(program.reductions))
        self._speculation: Speculation[Group] = Speculation()
        self._waves: deque[list[Group]] = deque()
        #: The children that there are, and those of them that are idle.
        self._children: list[Child] = []
        self._idle: deque[Child] = deque()
        self._pace = Pace(groups)
        #: How many rows of news were read by groups, since the state was made anew.
        self._reread = 0
        #: Which transaction had its turn when a wave was sent that was not worth it.
        self._patched = -self._pace.smallest

    async def run(self, how: How) -> None:
        """Run all until they are settled."""
        while self._next < self._count:
            while len(self._waves) < DEPTH and (chosen := self._choose()):
                await self._send(chosen, how)
            wave = self._waves.popleft()
            await self._receive(wave)
            self._settle()
            self._doubt()
            self._tally(wave)

    async def drop(self) -> None:
        """End the children."""
        for child in self._children:
            await self._process.drop(child.name)

    def finish(self) -> list[Any]:
        """Write what was changed into the caller's heap, and return the results."""
        self._settled.write()
        return self._results

    # --- what runs next ---

    def _choose(self) -> Plan | None:
        """Return the next wave; None, where it is better to wait for one that is under way."""
        pace = self._pace
        pace.adapt()
        head = self._next
        if head in self._suspect:
            return None if head in self._away else Plan([[head]], [])
        if self._waves and self._untried:
            # They may touch what is being touched.
            return None
        window = pace.window
        while not pace.in_order:
            wave = plan(self._steps(AHEAD * window), window, self._groups)
            if self._is_worth(wave.groups):
                pace.window = window
                return wave
            if window <= pace.smallest:
                break
            window //= 2
        if self._waves:
            return None
        pace.window = max(window, pace.smallest)
        stretch = list(self._straight(head, min(head + pace.stretch, self._count)))
        waiting = [place for place in stretch if place in self._ran]
        if not pace.in_order and 2 * len(waiting) > len(stretch) and head - self._patched >= pace.smallest:
            # A few are in the way of many that wait for their turn and may well hold; unless that was so just now.
            self._patched = head
            return wave
        for place in waiting:
            self._again(place)
        pace.in_a_row()
        return Plan([stretch], [])

    def _tally(self, wave: list[Group]) -> None:
        """Count how many of a wave are to be run again, as far as it is known now."""
        for group in wave:
            if group.since == self._pace.changes:
                stale = sum([place >= self._next and place not in self._ran for place in group.places])
                self._pace.count(len(group.places) - stale, stale)

    def _is_worth(self, groups: list[list[int]]) -> bool:
        """Tell whether a wave is likely to be much faster than its transactions in order."""
        count = sum(map(len, groups))
        last = self._next + count == self._count
        return count >= (2 if last else self._pace.smallest) and gain(groups) >= max(1.5, self._groups / 2)

    def _steps(self, ahead: int) -> Iterator[Step]:
        away, ran, suspect = self._away, self._ran, self._suspect
        for place in range(self._next, self._count):
            touched = self._touched[place] or frozenset()
            if place in ran:
                yield Step(place, Stage.RAN, ran[place].touched)
            elif place in away or place in suspect:
                yield Step(place, Stage.AWAY, touched)
            else:
                yield Step(place, Stage.FREE, touched)
                ahead -= 1
                if not ahead:
                    return

    def _straight(self, start: int, end: int) -> Iterator[int]:
        for place in range(start, end):
            if place in self._suspect:
                return
            yield place

    # --- to the children and back ---

    async def _send(self, wave: Plan, how: How) -> None:
        settled = self._settled
        unknown = [any(map(self._is_unknown, places)) for places in wave.groups]
        alone = not self._suspect.isdisjoint(chain.from_iterable(wave.groups))
        if settled.fresh and (alone or (any(unknown) and self._reread > REREAD * len(settled.fresh))):
            # Who runs alone because it may be too much for its meter pays for no news.
            settled.rebase()
            self._reread = 0
        sent = []
        for places, everything in zip(wave.groups, unknown, strict=True):
            foretold, told = self._wants(places, wave.known)
            over, given = Bundle(OVER), Bundle(GIVEN)
            for form in sorted(told):
                slot = foretold[form][1].effect.left(form) if form in foretold else form_of(settled.now(form))
                over.add((form, over.value(slot)), 2)
            for place in places:
                given.add((given.value(self._given[place]),), 1)
            child = self._idle.popleft() if self._idle else Child(f"{self._named}.{len(self._children)}")
            values = {**self._news(child, everything), **over.entries(), **given.entries()}
            self._reread += child.rows
            group = Group(child, places, self._pace.changes if len(wave.groups) > 1 else None)
            self._speculation.begin(group, set(settled.since(child.mark)).difference(told) | foretold.keys())
            await self._start(child, values, how)
            self._foretell(group, foretold)
            self._away.update(places)
            self._untried.difference_update(places)
            sent.append(group)
        self._waves.append(sent)

    def _news(self, child: Child, everything: bool) -> dict[Any, Any]:
        """Return what a child is given of the state; and, where it may need everything, of what was changed since."""
        settled = self._settled
        values: dict[Any, Any] = {}
        if child.rebased != settled.rebased:
            values[STATE] = settled.base
            child.rebased = settled.rebased
            child.mark = child.news = child.rows = 0
        if everything and (changed := settled.since(child.mark)):
            bundle = Bundle(news(child.news))
            for form in changed:
                bundle.add((form, bundle.value(form_of(settled.now(form)))), 2)
            values.update(bundle.entries())
            child.mark, child.news, child.rows = settled.changes, child.news + 1, child.rows + len(changed)
        return values

    def _wants(self, places: list[int], known: list[int]) -> tuple[dict[bytes, tuple[int, Ran]], frozenset[bytes]]:
        """Return what a group is told of those that have run and come before who may ask for it, and all that it is told."""
        first: dict[bytes, int] = {}
        for place in places:
            for form in self._wanted[place] or ():
                first.setdefault(form, place)
        # From here on it may ask for anything.
        anything = next(filter(self._is_unknown, places), -1)
        foretold: dict[bytes, tuple[int, Ran]] = {}
        for place in known:
            for form in self._ran[place].fixed:
                asked = first.get(form, anything)
                if place < (asked if anything < 0 else min(asked, anything)):
                    foretold[form] = (place, self._ran[place])
        return foretold, frozenset(first).union(foretold)

    def _foretell(self, group: Group, foretold: dict[bytes, tuple[int, Ran]]) -> None:
        """Note that a group was told what transactions left that wait for their turns: as if they had run there."""
        group.foretold = foretold
        for place in sorted({place for place, _ in foretold.values()}):
            effect = self._ran[place].effect
            told = [write for write in effect.writes if write[0] in foretold and foretold[write[0]][0] == place]
            before = effect._replace(writes=tuple(told), operations=())
            self._foretold.setdefault(place, []).append((group, before))

    def _is_unknown(self, place: int) -> bool:
        return self._wanted[place] is None or len(self._earlier.get(place, ())) > 1 or place in self._suspect

    async def _start(self, child: Child, values: dict[Any, Any], how: How) -> None:
        if child in self._children:
            delete = WHOLE if STATE in values else _RENEWED
            await self._process.put(child.name, values, delete=delete, start=True, gas=how.gas)
            return
        await how.start(self._process, child.name, self._program, values)
        self._children.append(child)

    async def _receive(self, wave: list[Group]) -> None:
        for group in wave:
            self._away.difference_update(group.places)
            try:
                effects = await self._effects(group.child.name)
            except ChildFailed as error:
                if group.places[0] in self._suspect:
                    error.add_note(
                        f"it had transaction {group.places[0]} of a list, counted from 0, alone and in its turn; "
                        "no transaction of the list was done"
                    )
                    raise
                self._suspect.update(group.places)
                self._speculation.end(group)
            else:
                for place, effect in zip(group.places, effects, strict=True):
                    if group.foretold:
                        for form in effect.changed:
                            group.changed.setdefault(form, place)
                    touched = (self._touched[place] or frozenset()) | effect.touched
                    self._ran[place] = Ran(group, effect, effect.fixed, effect.changed, touched)
            self._idle.append(group.child)

    async def _effects(self, name: str) -> list[Effect]:
        process = self._process
        more, *rows = await process.get(name, TOLD)
        effects = [Effect(*row) for row in rows]
        for number in range(1, more + 1):
            effects += [Effect(*row) for row in await process.get(name, (TOLD, number))]

        async def whole(data: bytes | int | None) -> bytes | None:
            return form_of(to_slot(await process.get(name, (TOLD, "long", data)))) if type(data) is int else data  # type: ignore[return-value]

        for index, effect in enumerate(effects):
            if effect.long:
                effects[index] = effect._replace(
                    result=await whole(effect.result),
                    writes=tuple([(form, await whole(data)) for form, data in effect.writes]),
                    operations=tuple([(form, added, await whole(data)) for form, added, data in effect.operations]),
                )
        return effects

    # --- in the list's order ---

    def _settle(self) -> None:
        """Settle what has its turn and holds; what does not is to be run again."""
        settled, speculation = self._settled, self._speculation
        while self._next in self._ran:
            place = self._next
            done = self._ran[place]
            group, effect = done.group, done.effect
            slots = settled.outcome(effect, speculation.mistaken(group))
            if slots is None:
                self._again(place)
                return
            ran = {group: (done.fixed, set[bytes]())}
            for other, before in self._earlier.pop(place, ()):
                ran[other] = compared(before, effect)
            for other, before in self._foretold.pop(place, ()):
                ran[other] = other.has_from(place, *compared(before, effect))
            speculation.settle(set(slots), ran)
            settled.put(slots)
            self._results.append(_result(effect))
            self._suspect.discard(place)
            del self._ran[place]
            self._next += 1
            self._leave(group)

    def _doubt(self) -> None:
        """Let what will turn out to be stale be run again, without waiting for its turn."""
        known = Known(self._speculation, any(ran.effect.ranges for ran in self._ran.values()))
        for place in sorted(self._ran.keys() | self._earlier.keys()):
            ran = self._ran.get(place)
            changed = self._earlier[place][-1][1].changed if ran is None else ran.changed
            if ran is not None and known.is_doubtful(ran):
                self._again(place)
                ran = None
            known.add(changed, ran)

    def _again(self, place: int) -> None:
        ran = self._ran.pop(place)
        self._earlier.setdefault(place, []).append((ran.group, ran.effect))
        self._touched[place] = ran.touched
        self._wanted[place] = (self._wanted[place] or frozenset()) | ran.touched | ran.effect.asked
        self._leave(ran.group)

    def _leave(self, group: Group) -> None:
        group.left -= 1
        if not group.left:
            self._speculation.end(group)


def _result(effect: Effect) -> Any:
    if effect.error is not None:
        return Refusal(effect.error)
    assert type(effect.result) is bytes
    return Formed(effect.result).value


class _Hints:
    """What a program says of its transactions, by an instance that sees no heap."""

    def __init__(self, program: type[Transaction]) -> None:
        self._program = program
        self._instance = program()

    def of(self, place: int, transaction: Any) -> tuple[frozenset[bytes] | None, frozenset[bytes] | None]:
        """Return what a transaction is likely to touch, and to ask for; None where nothing is known.

        Raises:
            ProgramError: the hint cannot be had.
        """
        named = "touches"
        try:
            keys = self._instance.touches(transaction)
            if keys is None:
                return None, None
            touched = frozenset(map(encode_key, keys))
            named = "adds_to"
            return touched, touched.union(map(encode_key, self._instance.adds_to(transaction)))
        except Exception as error:
            raise ProgramError(
                f"transact: {self._program.__qualname__}.{named} cannot say what transaction {place}, {show(transaction, 60)}, "
                f"touches: {type(error).__name__}: {error}; let it return keys, or None where it does not know"
            ) from error


def _check(program: Any, transactions: Any, region: Any, groups: Any) -> None:
    if not isinstance(program, type) or not hasattr(program, "apply") or not hasattr(program, "touches"):
        named = program.__qualname__ if isinstance(program, type) else f"an object of type {type(program).__qualname__}"
        raise ProgramError(f"transact: {named} is no program of transactions; let it inherit from actors.Transaction")
    cast("type[Transaction]", program).check()
    if not isinstance(transactions, Iterable):
        what = type(transactions).__qualname__
        mend = "; collect it first: [one async for one in …]" if isinstance(transactions, AsyncIterable) else ""
        raise CallRefused(f"transact: transactions is an object of type {what}; it is an iterable of values{mend}")
    if isinstance(region, Region):
        raise CallRefused(f"transact: region is {region!r}; it is a key, such as {region.prefix!r}")
    if type(groups) is not int or groups < 1:
        raise CallRefused(f"transact: groups is {groups!r}; it is how many run side by side, at least 1")
