"""How errors end a command: one clean message on standard error, and an exit code that says whose fault it was.

    0    it is done
    1    it failed: a block, the store, a verification, something that is not there
    2    it was asked wrongly: an argument, an input file or a line of it (`InputError`; the parser's own errors too)
    130  it was interrupted

A failed block also shows the program's own traceback: the frames of the user's code alone, the child's first.
`--debug` shows the traceback of any error, the machine's own frames included. An exception that is neither a LockstepError
nor the host's being out of memory is a bug: Python's plain traceback shows it, for a report.
"""

from __future__ import annotations

import os
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import anyio
import rich.traceback
import typer
from rich.text import Text
from typer.core import TyperGroup

import actors
import runtime
from actors.errors import BlockFailed, InputError, LockstepError, VerifyFailed
from runtime.cli.parameters import DEBUG
from runtime.cli.screen import Screen, printable

if TYPE_CHECKING:
    from collections.abc import Iterable

FAILED: Final = 1
ASKED_WRONGLY: Final = 2
INTERRUPTED: Final = 130

_MACHINE: Final = tuple(str(Path(str(package.__file__)).parent) + os.sep for package in (actors, runtime, anyio))


class ProgramTrouble(LockstepError):
    """The user's file could not be imported. `__cause__` is why, with the traceback."""

    code = "program-trouble"


class Lockstep(TyperGroup):
    """The commands, and around them the one place where errors become messages."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was asked for."""
        try:
            return super().invoke(ctx)
        except LockstepError as error:
            _tell(error, Screen(), debug=bool(ctx.meta.get(DEBUG)))
            raise typer.Exit(ASKED_WRONGLY if isinstance(error, InputError) else FAILED) from None
        except MemoryError as error:
            _tell(error, Screen(), debug=bool(ctx.meta.get(DEBUG)))
            raise typer.Exit(FAILED) from None


def _tell(error: LockstepError | MemoryError, screen: Screen, *, debug: bool) -> None:
    lines = _verify_failed(error) if isinstance(error, VerifyFailed) else [str(error)]
    if debug:
        _show_traceback(error, screen, whole=True)
    elif isinstance(error, (BlockFailed, ProgramTrouble)) and error.__cause__ is not None:
        _show_traceback(error.__cause__, screen, whole=False)
        if isinstance(error, BlockFailed):
            # The traceback has just told the rest.
            lines = [f"block {error.number} was not made, the head stays: the root failed with {error.error}"]
    lines += getattr(error, "__notes__", [])
    if isinstance(error, MemoryError):
        lines = ["; ".join(["out of memory", *filter(None, lines)])]
    message = Text.assemble(("error: ", "bold red"), printable("\n".join(lines)))
    screen.err.print(message, soft_wrap=not screen.err.is_terminal)


def _verify_failed(error: VerifyFailed) -> list[str]:
    return [
        f"block {error.number} does not verify",
        f"  process   {error.path}",
        f"  where     {error.key}",
        f"  expected  {error.expected}",
        f"  got       {error.got}",
        error.hint,
    ]


# --- tracebacks ----------------------------------------------------------------------------------------------------


def _show_traceback(error: BaseException, screen: Screen, *, whole: bool) -> None:
    """Show where an exception and those behind it came from, in the user's own code unless `whole`."""
    if screen.err.is_terminal:
        trace = rich.traceback.Traceback.extract(type(error), error, error.__traceback__)
        if not whole:
            for stack in trace.stacks:
                stack.frames = [frame for frame in stack.frames if _is_users(frame.filename)]
        screen.err.print(
            rich.traceback.Traceback(trace, width=min(screen.err.width, 100), extra_lines=2, max_frames=20)
        )
        return
    told = traceback.TracebackException.from_exception(error)
    if not whole:
        for one in _chain(told):
            one.stack = traceback.StackSummary.from_list([frame for frame in one.stack if _is_users(frame.filename)])
    screen.err.file.write(printable("".join(told.format())))


def _chain(told: traceback.TracebackException) -> Iterable[traceback.TracebackException]:
    at: traceback.TracebackException | None = told
    while at is not None:
        yield at
        at = at.__cause__ or at.__context__


def _is_users(file: str) -> bool:
    return not file.startswith((*_MACHINE, "<frozen")) and "/asyncio/" not in file and "/uvloop/" not in file
