"""Idle instances: kept when an activation is over, for the next one that begins where it ended.

They are found by the digests of all that makes an instance what it is, so it makes no difference whose they were. As a
live coroutine is in Python, they are a cache: whether one is found, or is made again from the heap, shows nowhere.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, TypeAlias

from actors.limits import WASM_INSTANCE_BYTES_KEPT_MAX, WASM_INSTANCES_KEPT_MAX

if TYPE_CHECKING:
    from actors.wasm.image import Image
    from actors.wasm.instance import Instance

#: Whether it is metered, the digest of its memory's pages, its state, the limit of its memory.
Key: TypeAlias = tuple[bool, bytes, bytes, int]
_kept: Final[OrderedDict[Key, tuple[Instance, Image]]] = OrderedDict()
_lock: Final = threading.Lock()


def take(key: Key) -> tuple[Instance, Image] | None:
    """Return an instance with its image, which nobody else gets then; None where there is none."""
    with _lock:
        return _kept.pop(key, None)


def keep(key: Key, instance: Instance, image: Image) -> None:
    """Keep an instance; those that were kept longest go where there are too many, or too large ones."""
    with _lock:
        gone = _kept.pop(key, None)
        _kept[key] = (instance, image)
        closed = [] if gone is None else [gone[0]]
        size = sum(one.size for one, _ in _kept.values())
        while len(_kept) > WASM_INSTANCES_KEPT_MAX or size > WASM_INSTANCE_BYTES_KEPT_MAX:
            first = _kept.popitem(last=False)[1][0]
            size -= first.size
            closed.append(first)
    for one in closed:
        one.close()


def forget_instances() -> None:
    """Let go of all of them; for tests, and for whoever wants their memory back."""
    with _lock:
        gone = list(_kept.values())
        _kept.clear()
    for instance, _ in gone:
        instance.close()
