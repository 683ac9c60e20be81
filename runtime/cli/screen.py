"""What is printed, and how: one place that knows terminals from pipes.

- Results go to standard output, all else (progress, remarks, errors) to standard error.
- A terminal gets colours, and lines that are cut to its width. A pipe or a file gets plain text: nothing is cut, coloured
  or framed, and each line is flushed, so that a reader sees a block as soon as it is durable.
- Text that comes from programs and their data cannot move the cursor: what is not printable is shown escaped.
- A progress bar is shown only where standard error is a terminal. While it is, lines go above it.
- Results that cannot be written (the disk is full) end the command with an error; a reader that went away, without a word.
"""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.highlighter import JSONHighlighter
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column
from rich.text import Text

from actors.errors import LockstepError
from runtime.json_form import key_to_json, to_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TextIO

    from rich.console import RenderableType

    from actors.keys import Key
    from runtime.json_form import Json

_highlight: Final = JSONHighlighter()
_INDENT: Final = "  "
_BAR_WIDTH: Final = 40


class OutputTrouble(LockstepError):
    """A result could not be written to standard output."""

    code = "output"


@contextmanager
def writing() -> Iterator[None]:
    """Raise OutputTrouble for what goes wrong while results are written to standard output; not where its reader went away."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is in its buffer yet could not be written at the end of the process either.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.__stdout__.fileno() if sys.__stdout__ is not None else 1)
        os.close(nowhere)
        raise OutputTrouble(
            f"standard output cannot be written: {error.strerror or error}; make room there, or write elsewhere"
        ) from error


def printable(text: str) -> str:
    """Return text in which what could move a cursor is escaped; line ends stay."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char == "\n" else _escaped(char) for char in text)


def _escaped(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def one_line(form: Json) -> str:
    """Return JSON for people: readable in any script, on one line."""
    return printable(json.dumps(form, ensure_ascii=False, allow_nan=False))


def laid_out(form: Json, width: int, indent: str = "") -> str:
    """Return JSON for people: what fits into `width` columns on one line, the rest a line an item."""
    line = one_line(form)
    if len(indent) + len(line) <= width or not form or not isinstance(form, (list, dict)):
        return line
    inner = indent + _INDENT
    if isinstance(form, list):
        items = [inner + laid_out(item, width, inner) for item in form]
        return "[\n" + ",\n".join(items) + f"\n{indent}]"
    entries = [f"{inner}{one_line(key)}: {laid_out(item, width, inner)}" for key, item in form.items()]
    return "{\n" + ",\n".join(entries) + f"\n{indent}}}"


def value_text(value: Any) -> Text:
    """Return a value on one line, in colours."""
    return _highlight(one_line(to_json(value)))


def counted(number: int, what: str, many: str) -> str:
    """Return how many there are: `1 block`, `2,000 blocks`."""
    return f"1 {what}" if number == 1 else f"{number:,} {many}"


def key_text(key: Key) -> Text:
    """Return a heap's key, as the command line takes it too."""
    return Text(one_line(key_to_json(key)), style="cyan")


class _Rate(ProgressColumn):
    """How many blocks a second, from the start of the bar on."""

    def render(self, task: Any) -> Text:
        elapsed = task.finished_time if task.finished else task.elapsed
        blocks = task.fields["blocks"]
        return Text(f"{blocks / elapsed:,.1f}/s" if elapsed and blocks else "", style="dim")


class Bar:
    """A progress bar, or nothing where there is no terminal to show it on."""

    def __init__(self, progress: Progress | None, total: float | None) -> None:
        self._progress = progress
        self._blocks = 0
        self._task = None if progress is None else progress.add_task("", total=total, blocks=0, at="", running="")

    def block(self, number: int, done: float) -> None:
        """Show that a block is through, and how much of the whole that was."""
        self._blocks += 1
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, blocks=self._blocks, at=f"block {number:,}")

    @property
    def shown(self) -> bool:
        """Whether there is a terminal to show it on."""
        return self._progress is not None

    def running(self, what: str) -> None:
        """Show what runs."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, running=printable(what))

    def step(self, at: str, done: float | None = None) -> None:
        """Show how far something is that does not go block by block, and how much of the whole that is."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, at=at, completed=done)


class Screen:
    """Standard output and standard error, for the length of one command.

    Args:
        as_json: whether results are JSON, for scripts.
    """

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self._out_file, self._err_file = sys.stdout, sys.stderr
        self.out, self.err = _console(self._out_file), _console(self._err_file)
        self._above: Console | None = None

    # --- results ---

    def line(self, text: Text | str, cut: bool = True) -> None:
        """Print one line of a result; on a terminal it is cut to the width, unless `cut` is False."""
        if not self.out.is_terminal:
            with writing():
                self._out_file.write(f"{text}\n")
                self._out_file.flush()
            return
        console = self._above or self.out
        if cut:
            console.print(text, no_wrap=True, overflow="ellipsis", crop=True)
        else:
            console.print(text, soft_wrap=True)

    def json(self, form: Json) -> None:
        """Print one JSON object of a result on one line of ASCII, for scripts."""
        self.line(json.dumps(form, allow_nan=False), cut=False)

    def value(self, form: Json) -> None:
        """Print a JSON form by itself: laid out and coloured on a terminal."""
        self.line(_highlight(self.laid_out(form)), cut=False)

    def field(self, name: str, form: Json, width: int) -> None:
        """Print a name, and behind it, in a column of its own, a JSON form."""
        self.line(Text.assemble((f"{name:<{width}}", "dim"), _highlight(self.laid_out(form, " " * width))), cut=False)

    def laid_out(self, form: Json, indent: str = "") -> str:
        """Return a JSON form as this screen shows it: laid out for a terminal's width, one line in a pipe."""
        return laid_out(form, self.out.width, indent) if self.out.is_terminal else one_line(form)

    def draw(self, picture: RenderableType) -> None:
        """Draw on a terminal."""
        self.out.print(picture)

    @property
    def terminal(self) -> bool:
        """Whether results go to a terminal."""
        return self.out.is_terminal

    # --- remarks ---

    def remark(self, text: str) -> None:
        """Tell people something beside the result."""
        self.err.print(Text(printable(text)), style="dim", soft_wrap=not self.err.is_terminal)

    @contextmanager
    def only_ours(self) -> Iterator[None]:
        """Keep standard output for results: what programs print meanwhile goes to standard error."""
        with redirect_stdout(self._err_file):
            yield

    @contextmanager
    def bar(self, total: float | None, *, running: bool = False) -> Iterator[Bar]:
        """Show a progress bar on standard error where that is a terminal.

        Args:
            total: what `done` will be at the end; None where that is not known.
            running: whether what runs is shown too. It has the rest of the line, so that nothing moves with its length.
        """
        if not self.err.is_terminal or self.err.is_dumb_terminal:
            yield Bar(None, total)
            return
        width = min(_BAR_WIDTH, self.err.width // 4) if running else _BAR_WIDTH
        columns = [TextColumn("{task.fields[at]}"), BarColumn(width), _Rate()]
        if total is not None:
            columns.append(TimeRemainingColumn())
        if running:
            rest = Column(ratio=1, no_wrap=True, overflow="ellipsis")
            columns.append(TextColumn("{task.fields[running]}", style="dim", markup=False, table_column=rest))
        with Progress(*columns, console=self.err, transient=True, expand=running) as progress:
            self._above = self.err if self.terminal else None
            try:
                yield Bar(progress, total)
            finally:
                self._above = None


def _console(file: TextIO) -> Console:
    if isinstance(file, io.TextIOWrapper):
        # A terminal or a file whose encoding lacks a letter gets it escaped, rather than an error halfway through.
        file.reconfigure(errors="backslashreplace")
    return Console(file=file, force_terminal=file.isatty(), highlight=False, markup=False, emoji=False)
