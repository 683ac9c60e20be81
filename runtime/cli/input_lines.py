"""The inputs of blocks, line by line: from a file, a pipe or a terminal.

Each line that is not blank is one block's inputs, in JSON form (runtime.json_form). Nothing is read ahead of what is
there: a line is a block as soon as its end has come, so that a program may feed blocks through a pipe by and by. What
cannot be waited for without stopping the event loop, a pipe or a terminal, is waited for by it, so that Ctrl-C works.
"""

from __future__ import annotations

import dataclasses
import os
import stat
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Self

import anyio

from actors.errors import InputError, ProgramError
from actors.limits import VALUE_BYTES_MAX
from runtime.json_form import parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

#: The longest line: a string of the largest value may take six bytes a letter (\u0000), and there is some around it.
LINE_BYTES_MAX: Final = 8 * VALUE_BYTES_MAX
_CHUNK_BYTES: Final = 256 * 1024
_MARK: Final = b"\xef\xbb\xbf"


@dataclasses.dataclass(frozen=True, slots=True)
class InputLine:
    """One line that is not blank."""

    #: Where it came from, for people.
    place: str
    #: Its number, blank lines counted too; the first is 1.
    number: int
    #: Which of those that are not blank it is; the first is 1.
    index: int
    data: bytes
    #: How many bytes had been read at its end.
    end: int

    def __str__(self) -> str:
        return f"line {self.number} of {self.place}"

    def value(self) -> Any:
        """Return the inputs that it says, frozen.

        Raises:
            InputError: it says none; the message has the line, and the place in it.
        """
        try:
            return parse(self.data.decode())
        except UnicodeDecodeError as error:
            raise self.refuse(f"byte {error.start + 1} is not UTF-8") from None
        except (InputError, ProgramError) as error:
            raise self.refuse(str(error)) from error

    def refuse(self, why: str) -> InputError:
        """Return the error for this line."""
        return InputError(f"{self}: {why}")


class InputLines:
    """The lines of a file or, for `-`, of standard input. A context manager; iterate it once.

    Raises:
        InputError: the file cannot be read.
    """

    def __init__(self, named: str) -> None:
        self._stream: IO[bytes]
        if named == "-":
            self.place = "standard input"
            self._stream = sys.stdin.buffer
        else:
            self.place = named
            try:
                self._stream = Path(named).open("rb", buffering=0)  # noqa: SIM115 - closed by __exit__
            except OSError as error:
                raise InputError(f"{named} cannot be read: {(error.strerror or str(error)).lower()}") from None
        self._mine = named != "-"
        self._descriptor, mode = _descriptor_of(self._stream)
        #: How many bytes there are, where that is known.
        self.size: int | None = None
        if self._descriptor is not None and stat.S_ISREG(mode):
            self.size = os.fstat(self._descriptor).st_size
        self._wait = sys.platform != "win32" and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or stat.S_ISCHR(mode))
        if self._wait and self._descriptor is not None and not os.isatty(self._descriptor):
            self._wait = not stat.S_ISCHR(mode)  # /dev/null and its kind are always ready, and refuse to be waited for

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._mine:
            self._stream.close()

    async def __aiter__(self) -> AsyncIterator[InputLine]:
        """Yield the lines that are not blank."""
        number = index = end = 0
        async for data in self._lines():
            number += 1
            end += len(data)
            line = data.removeprefix(_MARK) if number == 1 else data
            if len(line) > LINE_BYTES_MAX:
                raise InputError(
                    f"line {number} of {self.place} is longer than {LINE_BYTES_MAX} bytes; split the block"
                )
            if line.strip():
                index += 1
                yield InputLine(self.place, number, index, line.rstrip(b"\r\n"), end)

    async def _lines(self) -> AsyncIterator[bytes]:
        """Yield all lines, their ends included; one that grows over the limit is yielded before it is whole."""
        begun: list[bytes] = []
        length = 0
        while chunk := await self._read():
            first, *more = _split(chunk)
            begun.append(first)
            length += len(first)
            for piece in more:
                yield b"".join(begun)
                begun, length = [piece], len(piece)
            if begun[-1].endswith(b"\n") or length > LINE_BYTES_MAX:
                yield b"".join(begun)
                begun, length = [], 0
        if begun:
            yield b"".join(begun)

    async def _read(self) -> bytes:
        if self._wait and self._descriptor is not None:
            await anyio.wait_readable(self._descriptor)
        if self._descriptor is not None:
            return os.read(self._descriptor, _CHUNK_BYTES)
        return self._stream.read(_CHUNK_BYTES)


def _split(chunk: bytes) -> list[bytes]:
    *whole, last = chunk.split(b"\n")
    lines = [line + b"\n" for line in whole]
    return [*lines, last] if last else lines


def _descriptor_of(stream: IO[bytes]) -> tuple[int | None, int]:
    """Return a stream's descriptor and its file's mode; None and 0 where it has none."""
    try:
        descriptor = stream.fileno()
        return descriptor, os.fstat(descriptor).st_mode
    except OSError:
        return None, 0
