"""The command line: `lockstep`. The top of the machine; a room for each noun, and one door, `app`.

    running       run, verify                 what executes programs
    blocks        log, show, revert           the history
    processes     tree, get                   a state, and what is in it
    differences   diff                        two states
    pruning       prune                       room
    proofs        prove, check-proof          what a state root pins
    transfers     export, import              a state from store to store
    linting       lint                        programs, read and not run
    program_file  FILE:ROOT                   the user's program
    input_lines   --input                     the inputs of blocks
    kept          --store, BLOCK              a store, opened for reading
    block_text    a block as a line, or as JSON
    screen        terminals and pipes
    teaching      --help
    failing       errors, exit codes, tracebacks
    parameters    what several commands take

Commands that only read work while a run has the store open, and need no program.
"""

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from runtime.cli.blocks import log, revert, show
from runtime.cli.differences import diff
from runtime.cli.failing import Lockstep
from runtime.cli.linting import lint
from runtime.cli.parameters import Debug
from runtime.cli.processes import get, tree
from runtime.cli.proofs import check_proof, prove
from runtime.cli.pruning import prune
from runtime.cli.running import run, verify
from runtime.cli.teaching import help_of
from runtime.cli.transfers import export, import_

__all__ = ["app"]


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lockstep {version('lockstep-actors')}")
        raise typer.Exit


#: Frames and colours are for a terminal; help that goes into a pipe is plain.
_framed = all(stream is not None and stream.isatty() for stream in (sys.stdout, sys.stderr))

app = typer.Typer(
    name="lockstep",
    cls=Lockstep,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich" if _framed else None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def lockstep(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version, and end.")
    ] = False,
    debug: Debug = False,
) -> None:
    """Run deterministic parallel actors, block by block, and look at every state they ever had.

    A first example. squares.py:

      from actors import Process, Root

      class Square(Process):
          async def run(self):
              self.heap["y"] = self.heap["x"] ** 2

      class Squares(Root):
          async def run(self):
              numbers = self.heap["block", "numbers"]
              for i, x in enumerate(numbers):
                  await self.put(i, {"x": x}, program=Square, start=True)
              total = self.heap.get("total", 0)
              for i, _ in enumerate(numbers):
                  total += await self.get(i, "y")
              self.heap["total"] = total
              return {"total": total}

    blocks.jsonl, one block's inputs a line:

      {"numbers": [1, 2, 3]}
      {"numbers": [10, 20]}

    and then:

      lockstep run squares.py:Squares --input blocks.jsonl --store squares.db
      lockstep log --store squares.db              the blocks
      lockstep tree --store squares.db             the processes behind the head
      lockstep get head / total --store squares.db
      lockstep diff 1 2 --store squares.db         what block 2 changed
      lockstep verify squares.py:Squares --store squares.db
      lockstep lint squares.py                     what may not be deterministic

    Every command has examples: lockstep run --help.
    """


app.callback(help=help_of(lockstep, framed=_framed))(lockstep)
for command in (run, log, show, tree, get, diff, prove, check_proof, verify, revert, prune, export, import_, lint):
    # A trailing _ keeps Python's own words apart.
    app.command(command.__name__.rstrip("_").replace("_", "-"), help=help_of(command, framed=_framed))(command)
