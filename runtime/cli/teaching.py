r"""The help texts: from docstrings, as they stand in the code, to what `--help` shows.

A docstring is prose in paragraphs, and examples, which are indented. Prose is wrapped by whoever shows it; an example
keeps its lines. The two ways in which help is shown want that said in two ways: framed and coloured on a terminal, where
square brackets would be markup, and plain in a pipe, where a paragraph that is not to be wrapped begins with \b.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

from rich.markup import escape

if TYPE_CHECKING:
    from collections.abc import Callable


def help_of(command: Callable[..., Any], *, framed: bool) -> str:
    """Return the help of a command.

    Args:
        command: the function; its docstring is taken.
        framed: whether rich shows it, on a terminal; else plain text.
    """
    paragraphs = inspect.cleandoc(command.__doc__ or "").split("\n\n")
    shown = []
    for paragraph in paragraphs:
        if not paragraph.startswith(" "):
            shown.append(" ".join(paragraph.split("\n")))
        else:
            shown.append(paragraph if framed else f"\b\n{paragraph}")
    return escape("\n\n".join(shown)) if framed else "\n\n".join(shown)
