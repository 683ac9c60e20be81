"""A file as it is written: its syntax tree, its lines, and the comments in it that say what to ignore.

Nothing is imported or executed. What cannot be read or parsed is an `InputError` that says where.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings
from typing import TYPE_CHECKING, Final, NamedTuple

from actors.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

_COMMENT: Final = re.compile(r"#\s*lockstep:\s*ignore\b(?P<list>\[(?P<codes>[^\]]*)(?P<end>\]?))?")
#: How the name of a file of Python ends, where it does not end in nothing: a script may have no ending.
_ENDINGS: Final = frozenset({"", ".py", ".pyw"})
_LINE_END: Final = re.compile(r"\r\n|\r|\n")


class Ignored(NamedTuple):
    """What a comment says to ignore on its line."""

    #: The codes; None for all.
    codes: frozenset[str] | None
    column: int
    text: str


class Source(NamedTuple):
    """A parsed file."""

    file: str
    tree: ast.Module
    lines: list[str]
    #: By line, from 1.
    ignored: dict[int, Ignored]

    def line(self, number: int) -> str:
        """Return a line, from 1."""
        return self.lines[number - 1] if 0 < number <= len(self.lines) else ""

    def column(self, node: ast.AST) -> int:
        """Return the column at which a node begins, in characters, from 1. The tree counts in bytes."""
        before = self.line(getattr(node, "lineno", 1)).encode()[: getattr(node, "col_offset", 0)]
        return len(before.decode(errors="ignore")) + 1


def read(path: Path) -> Source:
    """Read and parse a file.

    Raises:
        InputError: it cannot be read, or is no Python; the message has the place.
    """
    if path.suffix not in _ENDINGS:
        raise InputError(f"{path} is no Python by its name; give files that end in .py")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    return parse(data, str(path))


def parse(data: bytes, file: str) -> Source:
    """Parse what a file holds. Raises InputError, as `read`."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = _LINE_END.sub("\n", data.decode(encoding))
        with warnings.catch_warnings():
            # What Python has to say of the file is said when it is run.
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except SyntaxError as error:
        place = f"{file}:{error.lineno}:{error.offset or 1}" if error.lineno else file
        raise InputError(f"{place} is no Python: {error.msg}") from None
    except (ValueError, LookupError) as error:
        raise InputError(f"{file} is no Python: {error}") from None
    except (RecursionError, MemoryError):
        raise InputError(f"{file} is nested too deep for Python's parser") from None
    return Source(file, tree, text.removeprefix("\ufeff").split("\n"), _ignored(text))


def _ignored(text: str) -> dict[int, Ignored]:
    if "lockstep:" not in text:
        return {}
    found = {}
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type != tokenize.COMMENT or (match := _COMMENT.search(token.string)) is None:
                continue
            codes = None
            if match["list"] is not None:
                names = match["codes"].replace(",", " ").split()
                # A list that is never closed ignores nothing, and is told as it stands.
                codes = frozenset(names if match["end"] and names else [match["list"]])
            found[token.start[0]] = Ignored(codes, token.start[1] + match.start() + 1, match[0])
    except (tokenize.TokenError, SyntaxError):
        # The parser took it, the tokenizer (in Python before 3.12) does not: then nothing is ignored behind here.
        pass
    return found
