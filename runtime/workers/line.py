"""Lines: how batches and answers go between the driver and a worker process, over a pair of sockets.

A message is its size, u64, and itself. The worker's first one, which is empty, says that it has begun; each one after that
answers a batch, in the order in which the batches were sent. The driver's side never waits: what the socket does not take
at once stands in the loop's memory until it does. So the worker's side may wait in both directions, and there is no size
at which the two wait for each other. Who is gone has closed its socket: that is how either side learns of it.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

_SIZE: Final = struct.Struct(">Q")


class LineLost(OSError):
    """The worker at the other end is gone."""


class Line(asyncio.Protocol):
    """The driver's end.

    Args:
        line: the socket; it is closed with this.
        begun: called when the worker has begun.
    """

    def __init__(self, line: socket.socket, begun: Callable[[], None]) -> None:
        self._socket = line
        self._begun = begun
        self._got = bytearray()
        #: Who is told of the answers that are still to come, the next one first.
        self._expected: deque[Callable[[bytes | Exception], None]] = deque()
        self._transport: asyncio.WriteTransport | None = None
        self._lost: LineLost | None = None
        #: What is to be sent when the loop has taken the socket over.
        self._unsent: list[bytes] = []
        loop = asyncio.get_running_loop()
        self._opening = loop.create_task(loop.create_connection(lambda: self, sock=line), name="lockstep-line")

    def send(self, batch: bytes, landed: Callable[[bytes | Exception], None]) -> None:
        """Send a batch; `landed` is called on the loop with the answer, or with why there is none.

        Raises:
            LineLost: the worker is gone, and was at work on nothing.
        """
        if self._lost is not None:
            raise self._lost
        self._expected.append(landed)
        message = (_SIZE.pack(len(batch)), batch)
        if self._transport is None:
            self._unsent += message
        else:
            self._transport.writelines(message)

    def close(self) -> None:
        """Let go of it; nobody is told of anything any more."""
        self._expected.clear()
        self._got.clear()
        if self._transport is None:
            self._opening.cancel()
            self._socket.close()
        else:
            self._transport.abort()

    # --- called by the loop ---

    def connection_made(self, transport: Any) -> None:
        """Send what was to be sent."""
        self._transport = transport
        transport.writelines(self._unsent)
        self._unsent.clear()

    def data_received(self, data: bytes) -> None:
        """Tell of the answers that are whole."""
        got = self._got
        got += data
        while len(got) >= _SIZE.size:
            end = _SIZE.size + _SIZE.unpack_from(got)[0]
            if len(got) < end:
                return
            message = bytes(memoryview(got)[_SIZE.size : end])
            del got[:end]
            if message:
                self._expected.popleft()(message)
            else:
                self._begun()

    def connection_lost(self, error: Exception | None) -> None:
        """Tell all who wait."""
        self._lost = lost = LineLost("its line was closed" if error is None else f"its line broke: {error}")
        expected, self._expected = self._expected, deque()
        for landed in expected:
            landed(lost)


def serve(line: socket.socket, work: Callable[[bytes], bytes]) -> None:
    """Answer batches for as long as there is a driver: the worker's end."""
    with line, line.makefile("rb") as batches:
        line.sendall(_SIZE.pack(0))
        while len(head := batches.read(_SIZE.size)) == _SIZE.size:
            answer = work(batches.read(_SIZE.unpack(head)[0]))
            line.sendall(_SIZE.pack(len(answer)) + answer)
