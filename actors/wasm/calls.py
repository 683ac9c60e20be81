"""System calls of a module: tuples in the canonical form of values, and what they are answered.

The module's docstring of `actors.wasm` lists them. What is no such tuple is refused, and traps; what the kernel refuses
(there is no such child, it failed, two sides changed one key) is an answer, as it is an exception in Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pyrsistent import PMap, pmap

from actors.errors import ChildFailed, LockstepError, ProgramError
from actors.values import ABSENT, encode

if TYPE_CHECKING:
    from actors.process import Process


class AbiRefused(LockstepError):
    """A call of an imported function that means nothing: a place outside of the memory, bytes that are no value, …"""

    code = "abi-refused"


#: How many elements each call has, its name included: at least and at most.
_SHAPES: Final = {
    "make": (2, 6),
    "put": (2, 6),
    "get": (3, 64),
    "changes": (2, 2),
    "merge": (3, 3),
    "status": (2, 2),
    "drop": (2, 2),
    "ret": (1, 1),
}
_NOTHING: Final[PMap[Any, Any]] = pmap()
#: Keys of the heap that are the process's own, and no module's.
RESERVED: Final = ("memory", "module", "wasm")


def check_call(call: Any) -> tuple[Any, ...]:
    """Check that a value is a call, and return it.

    Raises:
        AbiRefused: it is none.
    """
    if type(call) is not tuple or not call or type(call[0]) is not str or call[0] not in _SHAPES:
        raise AbiRefused(f"call: this is no tuple that begins with one of {', '.join(_SHAPES)}")
    least, most = _SHAPES[call[0]]
    if not least <= len(call) <= most:
        raise AbiRefused(f"call: {call[0]} has {least} to {most} elements, and this has {len(call)}")
    if call[0] in ("make", "put") and len(call) > 2:
        if not isinstance(call[2], PMap):
            raise AbiRefused(f"call: the values of a {call[0]} are a map")
        if len(call) > 3 and type(call[3]) is not tuple:
            raise AbiRefused(f"call: what a {call[0]} deletes is a tuple of keys")
        if len(call) > 4 and type(call[4]) is not bool:
            raise AbiRefused(f"call: whether a {call[0]} starts is a bool")
    if call[0] == "merge" and (call[2] == () or _first(call[2]) in RESERVED):
        raise AbiRefused("call: merge takes a region of its own keys; the memory of a running module is not merged")
    return call


def _first(key: Any) -> Any:
    return key[0] if type(key) is tuple and key else key


async def perform(process: Process, child_program: type[Process], call: tuple[Any, ...]) -> tuple[bool, bytes]:
    """Perform a call that was checked.

    Returns:
        Whether it was done, and the encoded answer: what it gives, or (code of the error, what there is to say, gas).
    """
    try:
        return True, encode(await _perform(process, child_program, call))
    except ChildFailed as error:
        return False, encode((error.code, error.error, error.gas))
    except ProgramError as error:
        return False, encode((error.code, str(error), 0))


async def _perform(process: Process, child_program: type[Process], call: tuple[Any, ...]) -> Any:
    name, child = call[0], call[1]
    if name in ("make", "put"):
        given: tuple[Any, ...] = call[2:] + (_NOTHING, (), False, None)[len(call) - 2 :]
        values, delete, start, gas = given
        program = child_program if name == "make" else None
        return await process.put(child, values, program=program, delete=delete, start=start, gas=gas)
    if name == "get":
        return await process.get(child, *call[2:])
    if name == "changes":
        changes = await process.get(child)
        return tuple((one.key,) if one.new is ABSENT else (one.key, one.new) for one in changes)
    if name == "merge":
        await process.merge(child, region=call[2])
        return None
    if name == "status":
        trap = await process.status(child)
        return trap.kind.value, trap.error, trap.gas, trap.middle
    return await process.drop(child)
