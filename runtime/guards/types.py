"""`datetime` and `date`: types written in C, whose methods no assignment replaces.

They are replaced in the types themselves, in the dict behind `type.__dict__`, and the interpreter is told that the types
have changed. So nothing else is different: a date is a date, for `isinstance`, `type`, pickles, codecs and dispatch by type,
which a subclass in their place would all mislead; and it does not matter how the program came by the type.
"""

from __future__ import annotations

import ctypes
import datetime as dt
import functools
import gc
from typing import TYPE_CHECKING, Any

from runtime.guards.fence import here
from runtime.guards.table import DATETIME_CLASS_METHODS, DATETIME_METHODS
from runtime.guards.wrapping import asks, note_class_method

if TYPE_CHECKING:
    from runtime.guards.table import Choose


def replace_in_datetime() -> None:
    """Guard the methods of `datetime` and `date` that ask for the time or the time zone of the machine."""
    for type_name, methods in DATETIME_CLASS_METHODS.items():
        cls = getattr(dt, type_name)
        space = _space(cls)
        for name, choose in methods.items():
            space[name] = _class_method(space[name], choose, f"{type_name}.{name}()")
            note_class_method(cls, name)
        _changed(cls)
    space = _space(dt.datetime)
    for name, choose in DATETIME_METHODS.items():
        space[name] = _method(space[name], choose, f"datetime.{name}()")
    _changed(dt.datetime)


def _space(cls: type) -> dict[str, Any]:
    """Return the dict of a type's attributes."""
    (space,) = (one for one in gc.get_referents(cls.__dict__) if type(one) is dict)
    return space


def _changed(cls: type) -> None:
    """Tell the interpreter that what it remembers of a type is out of date."""
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(cls))


def _class_method(original: Any, choose: Choose, call: str) -> Any:
    ask = asks(choose, call)

    @functools.wraps(original)
    def guarded(cls: type, /, *args: Any, **named: Any) -> Any:
        if here.cell.program is not None:
            ask(args, named)
        return original.__get__(None, cls)(*args, **named)

    return classmethod(guarded)


def _method(original: Any, choose: Choose, call: str) -> Any:
    ask = asks(choose, call)

    @functools.wraps(original)
    def guarded(self: Any, /, *args: Any, **named: Any) -> Any:
        if here.cell.program is not None:
            ask((self, *args), named)
        return original(self, *args, **named)

    return guarded
