"""The parameters that several commands share, each said once: its name, its help, and how it is read."""

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

#: Where a command leaves, in the context of the whole call, that tracebacks are wanted.
DEBUG: Final = "lockstep.debug"


def _remember_debug(context: typer.Context, wanted: bool) -> None:
    if wanted:
        context.find_root().meta[DEBUG] = True


Program: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="FILE:ROOT",
        help="The root program: a Python file (or a dotted module) and the class in it. "
        "A file with just one Root needs no :ROOT.",
        show_default=False,
    ),
]
Kept: TypeAlias = Annotated[
    Path, typer.Option("--store", metavar="PATH", help="The store, one file.", show_default=False)
]
Load: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--load",
        metavar="FILE",
        help="Import this first: a file or module that registers classes (actors.codec) whose objects are in the store.",
        show_default=False,
    ),
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--workers",
        metavar="N",
        min=0,
        help="On how many workers activations run that are placed there: as many as there are processors, unless given. "
        "0: everything runs on the loop.",
        show_default=False,
    ),
]
Watchdog: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--watchdog",
        metavar="SECONDS",
        help="Take a worker that is at one activation for longer to be stuck, and replace it.",
        show_default=False,
    ),
]
WorkerMemory: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--worker-memory",
        metavar="MIB",
        min=64,
        help="How much memory of its own a worker may have; what needs more is given up.",
        show_default=False,
    ),
]
TraceFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--trace",
        metavar="FILE",
        help="Write what ran, where and when, for Perfetto or chrome://tracing.",
        show_default=False,
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="For scripts: JSON, one object a line.")]
Debug: TypeAlias = Annotated[
    bool, typer.Option("--debug", callback=_remember_debug, is_eager=True, help="On an error, show the traceback.")
]
WhichBlock: TypeAlias = Annotated[
    str, typer.Argument(metavar="BLOCK", help="A number, the first digits of a hash, head, or head~2.")
]
