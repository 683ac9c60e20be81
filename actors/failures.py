"""What is told of an exception that a program raised, whatever its class is like.

`str(error)` is a method of the program's, and `error.__class__`, `__notes__`, even `type(error).__name__` may be: each may
raise, and then the machine would fail in the program's place. So nothing is asked here that a class can answer for itself, or
what it answers with is caught.
"""

from __future__ import annotations

import traceback
from typing import Any, Final

_NAME: Final[Any] = vars(type)["__name__"]
_CAUSE: Final[Any] = vars(BaseException)["__cause__"]
_CONTEXT: Final[Any] = vars(BaseException)["__context__"]


def name_of(error: BaseException) -> str:
    """Return the name of an exception's class."""
    name: str = _NAME.__get__(type(error))
    return name


def text_of(error: BaseException) -> str:
    """Return the message of an exception, and its notes on lines of their own; for people."""
    notes = _asked(lambda: list(error.__notes__), [])
    return "\n".join([_printed(error), *map(_printed, notes)])


def traceback_of(error: BaseException) -> str:
    """Return the traceback of an exception and of those behind it; for people."""
    told = _asked(lambda: "".join(traceback.format_exception(error)), None)
    return f"{name_of(error)}: {text_of(error)}\n" if told is None else told


def cause_of(error: BaseException) -> BaseException | None:
    """Return the exception that was named as the cause of this one, if there is one."""
    cause: BaseException | None = _CAUSE.__get__(error)
    return cause


def behind(error: BaseException) -> BaseException | None:
    """Return the cause of an exception, or that during whose handling it was raised, if there is one."""
    cause: BaseException | None = _CAUSE.__get__(error)
    return _CONTEXT.__get__(error) if cause is None else cause


def _printed(thing: Any) -> str:
    # As Python's own tracebacks have it.
    kind = "exception" if issubclass(type(thing), BaseException) else "note"
    return str.__str__(_asked(lambda: str(thing), f"<{kind} str() failed>"))


def _asked(ask: Any, otherwise: Any) -> Any:
    try:
        return ask()
    except (KeyboardInterrupt, MemoryError):
        raise
    except BaseException:
        return otherwise
