"""Lines between the driver and a worker: whole messages in order, of any size, on both loops; and who learns of an end."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from runtime.workers.frames import LONG_BYTES
from runtime.workers.line import Line, LineLost, serve

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from runtime.workers.frames import Form

Answer = bytes | memoryview | Exception


class Ends:
    """A line whose other end is a thread of this process."""

    def __init__(self, work: Callable[[bytes], Form]) -> None:
        ours, self.theirs = socket.socketpair()
        self.begun = asyncio.Event()
        self.line = Line(ours, self.begun.set)
        self.thread = threading.Thread(target=self._serve, args=(work,), daemon=True)
        self.thread.start()

    def _serve(self, work: Callable[[bytes], Form]) -> None:
        serve(self.theirs, work)

    def ask(self, batch: Form) -> asyncio.Future[Answer]:
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self.line.send(batch, answer.set_result)
        return answer

    async def close(self) -> None:
        self.line.close()
        await asyncio.to_thread(self.thread.join)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def on_loop(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[None]]], None]:
    def run(main: Callable[[], Awaitable[None]]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(main(), 60))  # type: ignore[arg-type]

    return run


def test_batches_are_answered_in_order_from_the_first_one_on(on_loop: Any) -> None:
    async def main() -> None:
        ends = Ends(lambda batch: batch[::-1])
        sizes = [1, 0, 7, 100_000, 3, 1]
        batches = [bytes([number]) * size + b"end" for number, size in enumerate(sizes)]
        answers = [ends.ask(batch) for batch in batches[:3]]  # before the loop has taken the socket over
        await ends.begun.wait()
        answers += [ends.ask(batch) for batch in batches[3:]]
        assert await asyncio.gather(*answers) == [batch[::-1] for batch in batches]
        await ends.close()

    on_loop(main)


def test_messages_about_as_long_as_what_is_read_at_a_time_arrive_whole(on_loop: Any) -> None:
    async def main() -> None:
        ends = Ends(lambda batch: [b"", batch[:9], batch[9:]])
        sizes = [LONG_BYTES + more for more in range(-17, 10)] + [1, 2 * LONG_BYTES, 0, LONG_BYTES - 8, 3]
        batches = [[b"", bytes([number]) * size, b"end"] for number, size in enumerate(sizes)]
        answers = await asyncio.gather(*[ends.ask(batch) for batch in batches])
        assert [bytes(answer) for answer in answers] == [b"".join(batch) for batch in batches]
        await ends.close()

    on_loop(main)


def test_large_batches_and_large_answers_do_not_wait_for_each_other(on_loop: Any) -> None:
    async def main() -> None:
        ends = Ends(lambda batch: batch + batch)
        batches = [bytes([number]) * (6 << 20) for number in range(4)]
        answers = await asyncio.gather(*[ends.ask(batch) for batch in batches])
        assert [answer == batch + batch for answer, batch in zip(answers, batches, strict=True)] == [True] * 4
        await ends.close()

    on_loop(main)


def test_who_waits_learns_that_the_worker_is_gone_and_nothing_can_be_sent_any_more(on_loop: Any) -> None:
    async def main() -> None:
        def die(batch: bytes) -> bytes:
            if batch == b"die":
                ends.theirs.shutdown(socket.SHUT_RDWR)
            return batch

        ends = Ends(die)
        answers = await asyncio.gather(*[ends.ask(batch) for batch in (b"first", b"die", b"third")])
        assert answers[0] == b"first"
        assert [type(answer) for answer in answers[1:]] == [LineLost, LineLost]
        with pytest.raises(LineLost):
            ends.line.send(b"fourth", lambda _: None)
        await ends.close()

    on_loop(main)


def test_what_was_answered_before_the_line_broke_is_told_even_if_it_was_not_read_before(on_loop: Any) -> None:
    async def main() -> None:
        go_on = threading.Event()

        def die(batch: bytes) -> bytes:
            go_on.wait()
            if batch == b"die":
                ends.theirs.shutdown(socket.SHUT_RDWR)
            return batch * LONG_BYTES

        ends = Ends(die)
        await ends.begun.wait()
        answers = [ends.ask(batch) for batch in (b"1", b"2", b"die")]
        await asyncio.sleep(0)
        go_on.set()
        ends.thread.join()  # and the loop reads nothing meanwhile
        answers.append(ends.ask(b"3"))
        assert await asyncio.gather(*answers[:2]) == [b"1" * LONG_BYTES, b"2" * LONG_BYTES]
        assert [type(answer) for answer in await asyncio.gather(*answers[2:])] == [LineLost, LineLost]
        with pytest.raises(LineLost):
            ends.line.send(b"4", lambda _: None)
        await ends.close()

    on_loop(main)


def test_a_worker_that_has_nothing_to_do_gets_a_long_batch_before_the_loop_has_a_turn(
    on_loop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However busy the machine is.
    monkeypatch.setattr("runtime.workers.line._PUSH_S", 30.0)
    monkeypatch.setattr("runtime.workers.line._PATIENCE_S", 30.0)

    async def main() -> None:
        got = threading.Event()

        def work(batch: bytes) -> bytes:
            got.set()
            return batch

        ends = Ends(work)
        await ends.begun.wait()
        batch = [b"", bytes(4 << 20), b"end"]
        answer = ends.ask(batch)
        await_here(got)
        assert bytes(await answer) == b"".join(batch)  # type: ignore[arg-type]
        await ends.close()

    on_loop(main)


def await_here(event: threading.Event) -> None:
    """Wait without giving the loop a turn."""
    assert event.wait(30)


async def begun_line() -> tuple[Line, socket.socket]:
    """A line with its other end, at which somebody has begun and does nothing."""
    ours, theirs = socket.socketpair()
    begun = asyncio.Event()
    line = Line(ours, begun.set)
    theirs.sendall(bytes(8))
    await begun.wait()
    return line, theirs


def test_a_worker_that_does_not_read_is_left_to_the_loop(on_loop: Any) -> None:
    async def main() -> None:
        line, theirs = await begun_line()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        batch = bytes(range(256)) * 10_000
        line.send(batch, answer.set_result)  # it comes back, though nobody reads
        theirs.setblocking(False)
        read = b""
        while len(read) < 8 + len(batch):
            read += await asyncio.get_running_loop().sock_recv(theirs, 1 << 20)
        assert read == len(batch).to_bytes(8, "big") + batch
        line.close()
        theirs.close()

    on_loop(main)


def test_who_waits_learns_of_a_worker_that_is_gone_when_it_is_sent_a_long_batch(on_loop: Any) -> None:
    async def main() -> None:
        line, theirs = await begun_line()
        theirs.close()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        line.send(bytes(4 << 20), answer.set_result)
        assert type(await answer) is LineLost
        line.close()

    on_loop(main)


@pytest.mark.parametrize("early", [True, False])
def test_nobody_is_told_of_anything_once_it_is_closed_and_the_worker_ends(on_loop: Any, early: bool) -> None:
    async def main() -> None:
        go_on = threading.Event()

        def work(batch: bytes) -> bytes:
            go_on.wait()
            return batch

        ends = Ends(work)
        if not early:
            await ends.begun.wait()
        told: list[Answer] = []
        ends.line.send(b"batch", told.append)
        await asyncio.sleep(0)
        ends.line.close()
        go_on.set()
        await ends.close()
        assert told == []

    on_loop(main)


@pytest.mark.parametrize("sent", [0, 1, 2, 3])
def test_a_driver_that_is_killed_is_the_end_of_its_worker_wherever_the_two_are(sent: int) -> None:
    """It leaves what it was sent unread, so that the worker is told by an error in place of the end of the file."""
    batch = struct.pack(">Q", 5) + b"batch"

    def gone(_: bytes) -> bytes:
        ours.close()
        return bytes(1 << 20)

    ours, theirs = socket.socketpair()
    ours.sendall([b"", batch[:4], batch[:-1], batch][sent])
    if sent < 3:
        theirs.send(b"is not read")
        ours.close()
    serve(theirs, gone)
    assert theirs.fileno() == -1
