"""Who calls: a guarded call is refused where it is made for the program, by itself or by way of a library.

The frames tell, from the call outwards to the machine that steps the program:

- Python's own library does what whoever called it asked for, so the next frame counts;
- what the machine does for a program (it reads the store when a heap is read) passes;
- what is done for people (a log, a warning, what `print` hands to the screen), or when a module is loaded, passes, whoever
  began it;
- so does what only happens to run now: finalizers, callbacks of the garbage collector, handlers of signals.

The text of the error has nothing that differs between machines or versions of Python; the place in the program is a note.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import actors
from actors.calls import METHODS
from actors.errors import ForeignAwait, GuardRefused
from runtime.guards.fence import here

if TYPE_CHECKING:
    from types import FrameType

    from actors.process import Process

_GUARDS, _MACHINE, _PYTHON, _PASSES, _LIBRARY, _PROGRAM = range(6)

_HERE: Final = str(Path(__file__).parent) + os.sep
_MACHINES: Final = tuple(str(path) + os.sep for path in (Path(actors.__file__).parent, Path(__file__).parent.parent))
_PYTHONS: Final = tuple(sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib"))
_LIBRARIES: Final = ("site-packages", "dist-packages")
#: Modules of Python that work for people, or load code, or finalize.
_FOR_PEOPLE: Final = (
    "logging", "warnings", "traceback", "linecache", "pdb", "bdb", "cmd", "code", "weakref", "_strptime", "multiprocessing.util",
)  # fmt: skip
_LOADING: Final = ("<frozen importlib._bootstrap>", "<frozen importlib._bootstrap_external>")
#: Libraries that work for people: what a failing assertion shows is theirs.
_TESTING: Final = frozenset({"_pytest", "pluggy", "coverage"})

#: What `os.path` is made of.
_PATH_MODULES: Final = frozenset({"genericpath", "posixpath", "ntpath"})

_kinds: dict[str, int] = {}


class Caller(NamedTuple):
    """Who made a call."""

    #: The frame of the program, or of a library, that made it.
    frame: FrameType
    #: The outermost of Python's own on the way from there.
    way: FrameType | None
    #: The innermost of the program's own.
    place: FrameType


def refuse(guard: str, call: str, *, direct: bool = False) -> None:
    """Refuse a call, if it is made for the program that is being stepped, and that has not lifted the guard.

    Args:
        guard: the guard's name.
        call: what was called, as printed.
        direct: whether it is refused only where the program's own code makes the call.

    Raises:
        GuardRefused: it is refused.
    """
    program = here.cell.program
    if program is None or guard in program.lifted:
        return
    caller = calling(program, direct=direct)
    if caller is None or (guard == "random" and caller.way is not None and _module(caller.way) == "copy"):
        return
    error = GuardRefused(guard, _called(caller, call))
    error.add_note(_told(caller, call))
    raise error


def refuse_loop(call: str) -> None:
    """Refuse what reaches for the event loop.

    Raises:
        ForeignAwait: it is refused.
    """
    program = here.cell.program
    caller = None if program is None else calling(program)
    if caller is not None:
        raise ForeignAwait(
            f"{_told(caller, call)}: a process awaits its own system calls ({', '.join(METHODS)}) "
            "and coroutines that do the same, nothing else, and has no event loop: "
            "start children with put, and let the caller of advance() wait for the outside"
        )


def calling(program: type[Process], *, direct: bool = False) -> Caller | None:
    """Return who makes the call that is under way; None: it passes.

    Args:
        program: what is being stepped.
        direct: whether only the program's own code counts.
    """
    frame: FrameType | None = sys._getframe(1)
    way: FrameType | None = None
    found: FrameType | None = None
    place: FrameType | None = None
    while frame is not None:
        kind = _kind(frame, program)
        if kind == _MACHINE:
            break
        if kind == _PASSES or frame.f_code.co_name == "__del__":
            return None
        if found is None and kind == _PYTHON:
            if direct:
                return None
            way = frame
        elif found is None and kind != _GUARDS:
            if direct and kind == _LIBRARY:
                return None
            found = frame
        if place is None and kind == _PROGRAM:
            place = frame
        frame = frame.f_back
    if found is None or _beside():
        return None
    return Caller(found, way, place or found)


def _beside() -> bool:
    """Tell whether what runs is the screen, a handler of a signal, or a callback of the garbage collector."""
    screens = [getattr(type(screen), name, None) for screen in (sys.stdout, sys.stderr) for name in ("write", "flush")]
    handlers: list[Any] = [*screens, *gc.callbacks, *[signal.getsignal(number) for number in signal.valid_signals()]]
    codes = {getattr(handler, "__code__", None) for handler in handlers} - {None}
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and codes:
        if frame.f_code in codes:
            return True
        frame = frame.f_back
    return False


def _kind(frame: FrameType, program: type[Process]) -> int:
    file = frame.f_code.co_filename
    kind = _kinds.get(file)
    if kind is None:
        kind = _kind_of_file(file, frame)
    if kind == _LIBRARY and _top(frame) == program.__module__.partition(".")[0]:
        return _PROGRAM
    return kind


def _kind_of_file(file: str, frame: FrameType) -> int:
    if file.startswith("<") and file not in _LOADING and not file.startswith("<frozen "):
        # Code that was made of a text (by `dataclass`, say) is its module's.
        source = frame.f_globals.get("__file__")
        return _PROGRAM if not isinstance(source, str) else _kind_of_path(source, frame)
    kind = _kinds[file] = _kind_of_path(file, frame)
    return kind


def _kind_of_path(file: str, frame: FrameType) -> int:
    if file.startswith(_HERE):
        return _GUARDS
    if file.startswith(_MACHINES):
        return _MACHINE
    if file in _LOADING:
        return _PASSES
    if file.startswith("<frozen "):
        return _PYTHON
    if any(part in Path(file).parts for part in _LIBRARIES):
        return _PASSES if _top(frame) in _TESTING else _LIBRARY
    if file.startswith(_PYTHONS):
        return _PASSES if _top(frame) in _FOR_PEOPLE or _module(frame) in _FOR_PEOPLE else _PYTHON
    return _PROGRAM


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _top(frame: FrameType) -> str:
    return _module(frame).partition(".")[0]


def _called(caller: Caller, call: str) -> str:
    """Return what was called, as the program calls it: by way of `uuid.uuid4()`, not by what that calls in turn."""
    if caller.way is None or call == "os.environ":
        return call
    top, code = _top(caller.way), caller.way.f_code
    if top.startswith("_"):
        return call
    if code.co_name.startswith(("_", "<")):
        return call if call.startswith(f"{top}.") else top
    function = getattr(sys.modules.get(top), code.co_name, None)
    while function is not None and getattr(function, "__code__", None) is not code:
        function = getattr(function, "__wrapped__", None)
    if function is not None:
        top = "os.path" if top in _PATH_MODULES else top
        return f"{top}.{code.co_name}()"
    return f"{code.co_name}() of {top}"


def _told(caller: Caller, call: str) -> str:
    """Return the place in the program, for people."""
    frame = caller.place
    called = _called(caller, call)
    by_way = "" if called == call else f", which comes to {call}"
    return f"{called} at {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}{by_way}"
