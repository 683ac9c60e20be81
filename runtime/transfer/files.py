"""Files that are there whole or not at all: written under another name, which they lose when they are whole."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from actors.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path


def partial_of(file: Path) -> Path:
    """Return the name of a file while it is not whole."""
    return file.with_name(file.name + ".partial")


def check_absent(file: Path) -> None:
    """Check that there is nothing of that name. Raises InputError."""
    if os.path.lexists(file):
        partial = partial_of(file)
        with suppress(OSError):
            # Whoever let it appear was stopped when it had both names.
            if os.path.samefile(file, partial):
                partial.unlink()
        raise InputError(f"{file} is there already; choose another path, or remove it first")


def appear(file: Path) -> None:
    """Let a file that is whole, and on the disk, have its name. It never takes the place of another one.

    Raises:
        InputError: there is one of that name by now.
        OSError: it cannot have it.
    """
    partial = partial_of(file)
    try:
        # A link, for to rename would replace what somebody else put there meanwhile.
        os.link(partial, file)
    except OSError:  # that, or a file system without links
        check_absent(file)
        partial.rename(file)
    else:
        _sync_names(file.parent)
        with suppress(OSError):
            partial.unlink()
    _sync_names(file.parent)


def _sync_names(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
