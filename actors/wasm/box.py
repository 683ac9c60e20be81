"""A box: one activation of a module. It brings its state from the heap, answers its calls, and puts its state back.

What makes a WebAssembly process what it was is in the heap and nowhere else:

    "wasm"           (engine, digest of the module, size of the memory in bytes, the bits of the globals that may change,
                     whether it is suspended, where its stack for asyncify is)
    ("memory", N)    the pages of its memory (actors.wasm.image)

An instance that is in step with a heap is kept when its activation is over, under the digests of all that makes it: as a
live coroutine is in Python, it is a cache. Whether it is there, or is made again, shows nowhere, in the gas neither.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from actors.errors import CodecError, HostTrouble, LimitExceeded, ProgramError
from actors.heap import Heap
from actors.keys import decode_key, encode_key
from actors.limits import WASM_CALLS_PENDING_MAX
from actors.memory import Formed
from actors.values import decode, encode
from actors.wasm import engine, idle
from actors.wasm.binary import START, WASM_PAGE_BYTES, ModuleRefused
from actors.wasm.calls import RESERVED, AbiRefused, check_call
from actors.wasm.engine import ENGINE
from actors.wasm.gas import CALL_GAS, MODULE_BYTE_GAS, Gauge
from actors.wasm.image import MEMORY_REGION, Image, StateRefused
from actors.wasm.instance import SIZES, Instance
from actors.wasm.traps import OutOfFuel, WasmTrap

if TYPE_CHECKING:
    from collections.abc import Callable

    from actors.process import Process

STATE_KEY: Final = "wasm"
#: How many pages of WebAssembly the stack for asyncify has, where the module brings none.
_STACK_PAGES: Final = 2
_ASYNCIFY: Final = {
    "asyncify_start_unwind": "i→",
    "asyncify_stop_unwind": "→",
    "asyncify_start_rewind": "i→",
    "asyncify_stop_rewind": "→",
}
_STACK: Final = "lockstep_stack"
_GO_ON: Final = "go_on"
_log = logging.getLogger("lockstep.wasm")


class Aborted(WasmTrap):
    """The module called `abort`."""


class Box:
    """One activation.

    Args:
        process: whose.
        code: the bytes of its module.
        memory_bytes_max: how large its memory may become.

    Raises:
        ModuleRefused, StateRefused: the module, or what is in the heap.
        HostTrouble: another release of wasmtime made that.
        Exhausted: the meter is empty.
    """

    def __init__(self, process: Process, code: bytes, memory_bytes_max: int) -> None:
        self._process = process
        #: What the module reads and writes, which costs gas, and what the box does, which does not: it would do more
        #: where no instance is at hand.
        self._heap = process.heap
        self._own = Heap(process.heap.machine_memory, process.path)
        self._limit = memory_bytes_max
        digest = engine.digest_of(code)
        state = _read_state(self._own.get(STATE_KEY), digest)
        #: Whether it never ran.
        self.fresh = state is None
        pay = _pay_nothing
        if state is None and process.machine_meter is not None:
            # Each process pays for its module once, compiled already or not.
            pay = process.machine_meter.charge
            pay(len(code) * MODULE_BYTE_GAS)
        self.module = engine.compiled(code, digest, pay, metered=process.machine_meter is not None)
        if self.module.checked.functions.get("run") != "→":
            raise ModuleRefused("the module does not export a function 'run' that takes nothing and returns nothing")
        #: Whether calls may wait: the module was made with asyncify.
        self.waits = all(self.module.checked.functions.get(name) == kind for name, kind in _ASYNCIFY.items())
        self.suspended = False if state is None else state[4]
        if self.suspended and not self.waits:
            raise StateRefused("what stands under 'wasm' is suspended, and the module cannot wait")
        self._stack = 0 if state is None else state[5]
        #: The state as it stands in the heap, encoded.
        self._form = b"" if state is None else encode(state)
        self.instance, self._image = self._take(state)
        self._gauge = Gauge(self.instance, process.machine_meter)
        self._answering = False
        #: Calls that it made and that are not performed yet; with asyncify at most one, for which it is unwound.
        self.pending: list[tuple[Any, ...]] = []
        #: Whether `run` is being called; before that, calls are refused.
        self._running = False
        self._rewinding = False
        self._answer = b""
        self._done = 0
        self.instance.host = self

    # --- state ---

    def _key(self) -> idle.Key:
        return self.module.metered, self._own.region(MEMORY_REGION).digest(), self._form, self._limit

    def _take(self, state: tuple[Any, ...] | None) -> tuple[Instance, Image]:
        """Return an instance that is in step with the heap."""
        if state is not None:
            found = idle.take(self._key())
            if found is not None:
                return found
        instance = Instance(self.module, self._limit)
        try:
            if state is not None:
                self._restore(instance, state)
            image = Image(instance.size)
            if state is not None:
                image.clear(instance)
            image.load(instance, self._own.region(MEMORY_REGION).items())
        except BaseException:
            instance.close()
            raise
        return instance, image

    def _restore(self, instance: Instance, state: tuple[Any, ...]) -> None:
        size, values, kinds = state[2], state[3], self.module.checked.globals
        if [len(bits) for bits in values] != [SIZES[kind] for kind in kinds]:
            raise StateRefused("what stands under 'wasm' is not of this module's globals")
        if size > instance.size and not instance.grow((size - instance.size) // WASM_PAGE_BYTES):
            raise StateRefused(f"the memory has {size} bytes, over the limit of {self._limit}")
        if size != instance.size:
            raise StateRefused(f"the memory has {size} bytes, and the module's begins with {instance.size}")
        for which, bits in enumerate(values):
            instance.set_global(which, bits)

    def store(self) -> None:
        """Put the state back into the heap. Raises Exhausted, LimitExceeded."""
        slots = self._image.changed(self.instance)
        self._gauge.charge_bytes(sum(len(slot) for slot in slots.values() if type(slot) is bytes))
        kinds = self.module.checked.globals
        values = tuple([self.instance.get_global(which) for which in range(len(kinds))])
        state = (ENGINE, self.module.digest, self.instance.size, values, self.suspended, self._stack)
        form = encode(state)
        if form != self._form:
            slots[encode_key(STATE_KEY)] = Formed(form, state)
            self._form = form
        self._own.machine_memory.write(slots)

    def keep(self) -> None:
        """Be done with the activation, the state of which was stored: keep the instance at hand."""
        self.instance.host = None
        idle.keep(self._key(), self.instance, self._image)

    def discard(self) -> None:
        """Be done with it, whatever became of it."""
        self.instance.close()

    # --- running ---

    def begin(self) -> None:
        """Run what a module runs once: its start function, and `_initialize`."""
        if self.module.checked.has_start:
            self._enter(START)
        if self.module.checked.functions.get("_initialize") == "→":
            self._enter("_initialize")

    def run(self) -> None:
        """Call `run`, until it returns or waits."""
        self._running = True
        self._enter("run")

    def resume(self, done: bool, answer: bytes) -> None:
        """Answer the call for which it is unwound, and let it go on."""
        self.suspended = False
        self._answered(done, answer)
        self._check_stack()
        self._running = self._rewinding = True
        self._enter("asyncify_start_rewind", self._stack)
        self._enter("run")
        if self._rewinding:
            raise AbiRefused("asyncify: the module was rewound, and did not come back to its call")

    def go_on(self, done: bool, answer: bytes) -> None:
        """Hand in the answer of a call that was performed after `run` returned."""
        self._answered(done, answer)
        if self.module.checked.functions.get(_GO_ON) == "→":
            self._enter(_GO_ON)

    def _answered(self, done: bool, answer: bytes) -> None:
        self._answer = answer
        self._done = len(answer) if done else -1

    def _enter(self, name: str, *arguments: int) -> None:
        self._gauge.refill()
        try:
            self.instance.call(name, *arguments)
        except OutOfFuel:
            self._gauge.exhaust()
        except WasmTrap:
            self._gauge.settle()
            raise
        self._gauge.settle()
        if self.waits and self.pending and name == "run":
            self.instance.call("asyncify_stop_unwind")
            self._gauge.settle()

    # --- calls of imported functions ---

    def host_call(self, name: str, arguments: list[int]) -> int | None:
        """Perform one."""
        if self._answering:
            raise AbiRefused(f"{name}: called by a function that the host called while it answered another call")
        if self.waits and self.pending:
            raise AbiRefused(f"{name}: called while the module unwinds; was all of it made with asyncify?")
        if self._rewinding and name != "call":
            raise AbiRefused(f"{name}: called while the module rewinds; was all of it made with asyncify?")
        self._answering = True
        try:
            self._gauge.settle()
            self._gauge.charge(CALL_GAS)
            answer = _FUNCTIONS[name](self, *arguments)
            self._gauge.settle()
            self._gauge.refill()
        except OutOfFuel:
            self._gauge.exhaust()
            raise
        finally:
            self._answering = False
        return answer

    def _bytes(self, what: str, at: int, size: int) -> bytes:
        if at + size > self.instance.size:
            raise AbiRefused(f"{what}: {size} bytes at {at} are not within its memory of {self.instance.size}")
        self._gauge.charge_bytes(size)
        return self.instance.read(at, size)

    def _give(self, what: str, data: bytes, into: int, room: int) -> int:
        if into + room > self.instance.size:
            raise AbiRefused(f"{what}: {room} bytes at {into} are not within its memory of {self.instance.size}")
        if len(data) <= room:
            self._gauge.charge_bytes(len(data))
            self.instance.write(into, data)
        return len(data)

    def _read_key(self, what: str, at: int, size: int) -> tuple[Any, ...]:
        try:
            key = decode_key(self._bytes(what, at, size))
        except CodecError as error:
            raise AbiRefused(f"{what}: the bytes at {at} are no key: {error}") from None
        return key

    def _own_key(self, what: str, at: int, size: int) -> tuple[Any, ...]:
        key = self._read_key(what, at, size)
        if not key or key[0] in RESERVED:
            raise AbiRefused(f"{what}: {key!r} is no key of the module's own; {', '.join(RESERVED)} are the process's")
        return key

    def _value(self, what: str, at: int, size: int) -> Any:
        try:
            return decode(self._bytes(what, at, size))
        except (CodecError, ProgramError) as error:
            raise AbiRefused(f"{what}: the bytes at {at} are no value: {error}") from None

    def _get(self, key: int, key_size: int, into: int, room: int) -> int:
        value = self._heap.get(self._own_key("get", key, key_size), _NOTHING)
        if value is _NOTHING:
            return -1
        return self._give("get", encode(value), into, room)

    def _set(self, key: int, key_size: int, form: int, size: int) -> None:
        name = self._own_key("set", key, key_size)
        self._heap[name] = self._value("set", form, size)

    def _delete(self, key: int, key_size: int) -> int:
        name = self._own_key("delete", key, key_size)
        there = name in self._heap
        if there:
            del self._heap[name]
        return int(there)

    def _next(self, key: int, key_size: int, into: int, room: int) -> int:
        low: tuple[Any, ...] = (*self._read_key("next", key, key_size), b"")
        for found in self._heap.keys(low=low):
            first = found[0] if type(found) is tuple and found else found
            if first not in RESERVED:
                return self._give("next", encode_key(found), into, room)
            break
        else:
            return -1
        return self._next_beyond(first, into, room)

    def _next_beyond(self, first: str, into: int, room: int) -> int:
        """Pass over what is the process's own: nothing lies between the last of it and its first key's successor."""
        while True:
            found = next(iter(self._heap.keys(low=first + "\0")), None)
            if found is None:
                return -1
            first = found[0] if type(found) is tuple and found else found
            if first not in RESERVED:
                return self._give("next", encode_key(found), into, room)

    def _call(self, form: int, size: int) -> int:
        if self._rewinding:
            self.instance.call("asyncify_stop_rewind")
            self._rewinding = False
            return self._done
        call = check_call(self._value("call", form, size))
        if not self._running:
            raise AbiRefused(f"call: {call[0]} before `run`; start functions make no system calls")
        if not self.waits:
            if call[0] == "ret":
                raise AbiRefused("call: ret in the middle takes a module that was made with asyncify")
            if len(self.pending) >= WASM_CALLS_PENDING_MAX:
                raise LimitExceeded(
                    f"{WASM_CALLS_PENDING_MAX} system calls wait for `run` to return, which is the limit"
                )
            self.pending.append(call)
            return 0
        self._place_stack()
        self.pending.append(call)
        self.instance.call("asyncify_start_unwind", self._stack)
        return 0

    def _place_stack(self) -> None:
        """Find the place where asyncify keeps the module's stack, or make it; and begin it."""
        instance = self.instance
        if _STACK in self.module.checked.words:
            self._stack = instance.word(_STACK)
            self._check_stack()
            return
        if not self._stack:
            self._stack = instance.size
            if not instance.grow(_STACK_PAGES):
                raise LimitExceeded(f"there is no room for the stack of asyncify in a memory of {self._stack} bytes")
        self._check_stack()
        end = self._stack + _STACK_PAGES * WASM_PAGE_BYTES
        instance.write(self._stack, (self._stack + 8).to_bytes(4, "little") + end.to_bytes(4, "little"))

    def _check_stack(self) -> None:
        if self._stack + 8 > self.instance.size:
            raise AbiRefused(f"asyncify: its stack at {self._stack} is not within the memory")

    def _give_answer(self, into: int, room: int) -> int:
        return self._give("answer", self._answer, into, room)

    def _charge(self, gas: int) -> None:
        if gas < 0:
            raise AbiRefused(f"charge: {gas} is less than nothing")
        self._gauge.charge(gas)

    def _write_log(self, text: int, size: int) -> None:
        _log.debug("%s", self._bytes("log", text, size)[:4096].decode(errors="replace"))

    def _abort(self, text: int, size: int) -> None:
        raise Aborted(self._bytes("abort", text, size)[:4096].decode(errors="replace"))


_NOTHING: Final = object()
_FUNCTIONS: Final[dict[str, Callable[..., int | None]]] = {
    "get": Box._get,
    "set": Box._set,
    "delete": Box._delete,
    "next": Box._next,
    "call": Box._call,
    "answer": Box._give_answer,
    "charge": Box._charge,
    "log": Box._write_log,
    "abort": Box._abort,
}


def _pay_nothing(gas: int) -> None:
    pass


def _read_state(state: Any, digest: bytes) -> tuple[Any, ...] | None:
    """Return the state that stands in a heap, checked; None where there is none."""
    if state is None:
        return None
    shape = (str, bytes, int, tuple, bool, int)
    if (
        type(state) is not tuple
        or tuple(map(type, state)) != shape
        or any(type(bits) is not bytes for bits in state[3])
    ):
        raise StateRefused("what stands under 'wasm' is no state of a WebAssembly process")
    if state[0] != ENGINE:
        raise HostTrouble(
            "EngineDiffers",
            f"the state was made with {state[0]}, and here is {ENGINE}, which may count fuel otherwise; install that one",
        )
    if state[1] != digest:
        raise StateRefused(
            f"the memory was made by the module {state[1].hex()[:16]}, and this is {digest.hex()[:16]}; "
            "go back to that, or delete 'wasm' and the region 'memory' from the heap to begin anew"
        )
    if not 0 <= state[2] < 2**32 or state[2] % WASM_PAGE_BYTES or not 0 <= state[5] < 2**32:
        raise StateRefused("what stands under 'wasm' has a size or a place that no memory has")
    return state
