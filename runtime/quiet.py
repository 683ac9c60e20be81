"""Silence during replay: a program logs with ordinary `logging`, and what it logged once it must not log again.

While a replay runs, records made in this thread are made with a level that no handler takes. Other threads log on.
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Below NOTSET, so that every handler leaves the record alone.
_SILENT: Final = -1


@contextmanager
def quiet_logging() -> Iterator[None]:
    """Drop what this thread logs, until the block ends."""
    make = logging.getLogRecordFactory()
    here = threading.get_ident()

    def quietly(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        if threading.get_ident() == here:
            record.levelno = _SILENT
        return record

    logging.setLogRecordFactory(quietly)
    try:
        yield
    finally:
        logging.setLogRecordFactory(make)
