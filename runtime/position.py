"""Where a program stands: the line in the user's code at which a coroutine is suspended, for errors and for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import actors
from actors.calls import METHODS
from actors.errors import ForeignAwait
from actors.keys import Path as ProcessPath
from actors.keys import path_text

if TYPE_CHECKING:
    from types import FrameType

_OURS = str(Path(actors.__file__).parent)
#: What a program's line is not in: the machinery of awaiting.
_MACHINERY = ("/asyncio/", "/anyio/", "/uvloop/", "/sniffio/")


def position_of(coroutine: Any) -> str:
    """Return `file:line in function` of the innermost frame of the user's own code, or "" where there is none."""
    frames: list[FrameType] = []
    at = coroutine
    while at is not None:
        frame = getattr(at, "cr_frame", None) or getattr(at, "gi_frame", None)
        if frame is not None:
            frames.append(frame)
        at = getattr(at, "cr_await", None) or getattr(at, "gi_yieldfrom", None)
    for frame in reversed(frames):
        file = frame.f_code.co_filename
        if not file.startswith((_OURS, "<frozen")) and not any(part in file for part in _MACHINERY):
            return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
    return ""


def foreign_await(path: ProcessPath, coroutine: Any, awaited: object) -> ForeignAwait:
    """Return the error for a process that yielded something which is no system call."""
    position = position_of(coroutine)
    what = (
        f"a {type(awaited).__module__}.{type(awaited).__qualname__}"
        if awaited is not None
        else "a bare yield (sleep(0), say)"
    )
    return ForeignAwait(
        f"{path_text(path)} awaited {what}{f' at {position}' if position else ''}; a process awaits its own system calls "
        f"({', '.join(METHODS)}) and coroutines that do the same, nothing else: "
        "let the caller of advance() fetch it, and hand it in with the block's input"
    )
