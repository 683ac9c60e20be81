"""Looking at a state from outside: any process's heap and children at any kept block, read-only and lazy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from actors.errors import NoSuchChild
from actors.goals import CHILD, HEAP
from actors.keys import Name, Path, check_name, parse_path, path_text
from actors.limits import NAMES_SHOWN_MAX
from actors.region import View
from actors.trap import Trap, TrapKind
from runtime.record import DRAWS
from runtime.state import child_names, child_state, control_of

if TYPE_CHECKING:
    from actors.tree import Tree


class ProcessView:
    """One process as it was behind a block.

    Attributes:
        path: the names from the root down to it.
        heap: its heap, read-only. Of a pending process: what it was started on.
        children: its children by name, in key order.
        program: what it runs, as `module:qualified name`, or None.
        trap: why it stopped last.
        pending: whether it was started and its parent has not waited for it: it goes on across the block.
        gas: what its meter was filled with at its last start; None: it had none, or drew on its parent's.
    """

    def __init__(self, state: Tree, path: Path) -> None:
        self._state = state
        self._control = control_of(state, path_text(path))
        self.path = path
        self.heap = View(state.extract(HEAP), f"the heap of {path_text(path)}")
        self.children: Mapping[Name, ProcessView] = ChildrenView(state.extract(CHILD), path)
        self.program = self._control.program
        self.pending = self._control.pending
        self.gas = None if self._control.gas == DRAWS else self._control.gas
        control = self._control
        self.trap = Trap(TrapKind(control.trap), control.error, control.used, control.middle)

    def at(self, path: str | Path) -> ProcessView:
        """Return the process at a path below this one: `("shards", 3)`, or `"/shards/3"` as it is printed.

        Raises:
            NoSuchChild: there is none; the error has the names that there are.
        """
        found = self
        for name in parse_path(path):
            found = found.children[name]
        return found

    def digest(self) -> bytes:
        """Return the root of this process's state, its subtree included."""
        return self._state.digest()

    def walk(self) -> Iterator[ProcessView]:
        """Yield this process and all below it, parents first, children in key order."""
        stack = [self]
        while stack:
            view = stack.pop()
            yield view
            stack.extend(reversed(list(view.children.values())))

    def __repr__(self) -> str:
        return f"<{path_text(self.path)} {self.program}: {len(self.heap)} keys, {self.status()}>"

    def status(self) -> str:
        """Return how it stands, in a word or two, for people."""
        if self.pending:
            return "running on"
        words = {TrapKind.NEW: "new", TrapKind.RETURNED: "returned", TrapKind.OUT_OF_GAS: "out of gas"}
        failed = "host fault" if self.trap.kind is TrapKind.HOST_FAULT else "failed"
        word = words.get(self.trap.kind, f"{failed}: {self.trap.error}")
        return f"{word}, in the middle" if self.trap.middle else word


class ChildrenView(Mapping[Name, ProcessView]):
    """The children of a process, by name."""

    def __init__(self, states: Tree, path: Path) -> None:
        self._states = states
        self._path = path

    def __getitem__(self, name: Name) -> ProcessView:
        check_name(name)
        state = child_state(self._states, name)
        if state is None:
            known = [one for _, one in zip(range(NAMES_SHOWN_MAX + 1), self, strict=False)]
            raise NoSuchChild(path_text(self._path), name, known[:NAMES_SHOWN_MAX], len(known) > NAMES_SHOWN_MAX)
        return ProcessView(state, (*self._path, name))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, (str, int)) and child_state(self._states, name) is not None

    def __iter__(self) -> Iterator[Name]:
        return child_names(self._states)

    def __len__(self) -> int:
        return sum(1 for _ in self)
