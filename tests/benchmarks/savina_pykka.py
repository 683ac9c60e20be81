"""Savina's message benchmarks as one would write them with Pykka: the same actors, messages and counts as in examples/savina.

Each function runs its benchmark once and returns the seconds, without the start and end of its threads.
"""

from __future__ import annotations

import threading
import time
from math import sin
from typing import Any

import pykka

from examples.savina.chameneos import COLOURS, complement


class Reporting(pykka.ThreadingActor):
    """An actor that knows whom to tell that all is over."""

    def __init__(self, over: Over) -> None:
        super().__init__()
        self.over = over


class Over:
    """Waits until so many have said that they are done."""

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self.lock = threading.Lock()
        self.event = threading.Event()

    def done(self) -> None:
        with self.lock:
            self.count -= 1
            if not self.count:
                self.event.set()

    def measured(self, begin: Any) -> float:
        at = time.perf_counter()
        begin()
        self.event.wait()
        taken = time.perf_counter() - at
        pykka.ActorRegistry.stop_all()
        return taken


class Pong(pykka.ThreadingActor):
    def on_receive(self, message: Any) -> None:
        message.tell(self.actor_ref)


class Ping(Reporting):
    def __init__(self, over: Over, pings: int, pong: Any) -> None:
        super().__init__(over)
        self.left, self.pong = pings, pong

    def on_receive(self, message: Any) -> None:
        if self.left:
            self.left -= 1
            self.pong.tell(self.actor_ref)
        else:
            self.over.done()


def ping_pong(pings: int) -> float:
    over = Over()
    ping = Ping.start(over, pings, Pong.start())
    return over.measured(lambda: ping.tell("start"))


class Counter(pykka.ThreadingActor):
    count = 0

    def on_receive(self, message: Any) -> None:
        if message == "increment":
            self.count += 1
        else:
            message.tell(self.count)


class Producer(Reporting):
    def __init__(self, over: Over, increments: int, counter: Any) -> None:
        super().__init__(over)
        self.increments, self.counter = increments, counter

    def on_receive(self, message: Any) -> None:
        if message == "start":
            for _ in range(self.increments):
                self.counter.tell("increment")
            self.counter.tell(self.actor_ref)
        else:
            assert message == self.increments
            self.over.done()


def counting(increments: int) -> float:
    over = Over()
    producer = Producer.start(over, increments, Counter.start())
    return over.measured(lambda: producer.tell("start"))


class Node(Reporting):
    following: Any = None

    def on_receive(self, message: Any) -> None:
        if type(message) is not int:
            self.following = message
        elif message:
            self.following.tell(message - 1)
        else:
            self.over.done()


def thread_ring(nodes: int, passes: int) -> float:
    over = Over()
    ring = [Node.start(over) for _ in range(nodes)]
    for i, node in enumerate(ring):
        node.tell(ring[(i + 1) % nodes])
    return over.measured(lambda: ring[0].tell(passes))


class Maker(Reporting):
    def on_receive(self, count: int) -> None:
        for _ in range(count):
            Stopping.start(self.over).tell(37.2)


class Stopping(Reporting):
    def on_receive(self, theta: float) -> None:
        assert sin(theta) ** 2 > 0
        self.over.done()
        self.stop()


def fork_join_create(workers: int) -> float:
    over = Over(workers)
    maker = Maker.start(over)
    return over.measured(lambda: maker.tell(workers))


class Worker(Reporting):
    def __init__(self, over: Over, messages: int) -> None:
        super().__init__(over)
        self.left = messages

    def on_receive(self, theta: float) -> None:
        assert sin(theta) ** 2 > 0
        self.left -= 1
        if not self.left:
            self.over.done()


class Sender(pykka.ThreadingActor):
    def on_receive(self, message: Any) -> None:
        workers, messages = message
        for _ in range(messages):
            for worker in workers:
                worker.tell(37.2)


def fork_join_throughput(workers: int, messages: int) -> float:
    over = Over(workers)
    sender = Sender.start()
    all_workers = [Worker.start(over, messages) for _ in range(workers)]
    return over.measured(lambda: sender.tell((all_workers, messages)))


class Mall(pykka.ThreadingActor):
    def __init__(self, meetings: int) -> None:
        super().__init__()
        self.left, self.waits = meetings, None

    def on_receive(self, message: Any) -> None:
        sender, colour = message
        if not self.left:
            sender.tell(("closed", None, None))
        elif self.waits is None:
            self.waits = message
        else:
            self.waits[0].tell(("meet", sender, colour))
            self.waits = None
            self.left -= 1


class Creature(Reporting):
    def __init__(self, over: Over, mall: Any, colour: str) -> None:
        super().__init__(over)
        self.mall, self.colour, self.meetings = mall, colour, 0

    def on_receive(self, message: Any) -> None:
        what, other, colour = message
        if what == "closed":
            self.over.done()
            return
        if what != "begin":
            self.colour = complement(self.colour, colour)
            self.meetings += 1
            if what == "meet":
                other.tell(("met", None, self.colour))
        self.mall.tell((self.actor_ref, self.colour))


def chameneos(creatures: int, meetings: int) -> float:
    over = Over(creatures)
    mall = Mall.start(meetings)
    everybody = [Creature.start(over, mall, COLOURS[i % 3]) for i in range(creatures)]
    return over.measured(lambda: [one.tell(("begin", None, None)) for one in everybody])


class Peer(Reporting):
    peers: Any = ()

    def __init__(self, over: Over, seed: int, pings: int) -> None:
        super().__init__(over)
        self.seed, self.left = seed, pings

    def on_receive(self, message: Any) -> None:
        if type(message) is list:
            self.peers = message
        elif type(message) is tuple:
            message[0].tell("pong")
        elif not self.left:
            self.over.done()
        else:
            self.left -= 1
            self.seed = (self.seed * 1_103_515_245 + 12_345) % 2**31
            self.peers[(self.seed >> 8) % len(self.peers)].tell((self.actor_ref,))


def big(peers: int, pings: int) -> float:
    over = Over(peers)
    everybody = [Peer.start(over, i, pings) for i in range(peers)]
    for peer in everybody:
        peer.tell(everybody)
    return over.measured(lambda: [peer.tell("start") for peer in everybody])
