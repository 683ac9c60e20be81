"""Modules that mean harm, each run by hand: how it ends, that its heap is as it was, and that others are none the worse."""

from __future__ import annotations

import random

import pytest
import wasm_attacks
from wasm_modules import ADDER, LOOPER, Made, module

from actors.errors import HostTrouble, LockstepError
from actors.meter import Exhausted
from actors.wasm.binary import ModuleRefused
from actors.wasm.engine import compiled, digest_of

GAS = 3_000_000


@pytest.mark.parametrize("attack", list(wasm_attacks.ATTACKS))
def test_an_attack_ends(attack: str) -> None:
    code, expected = wasm_attacks.ATTACKS[attack]
    good = Made({"module": ADDER})
    good.run(GAS, by=1)
    made = Made({"module": code})
    before = made.heap.digest()
    try:
        used = made.run(GAS + len(code))
    except (LockstepError, Exhausted, HostTrouble) as error:
        ended = type(error).__name__
        assert made.heap.digest() == before
    except AssertionError:
        # It made a system call, and came to its end.
        ended = "called"
    else:
        assert used <= GAS + len(code)
        ended = "nothing"
    assert ended in expected
    good.run(GAS, by=2)
    assert good.heap["y"] == 3


def test_there_are_more_than_thirty_attacks() -> None:
    assert len(wasm_attacks.ATTACKS) > 30


@pytest.mark.parametrize("code", [ADDER, LOOPER, module("(drop (i32.const 1))")])
def test_a_module_that_is_cut_off_anywhere_is_refused(code: bytes) -> None:
    sections, at = {8}, 8
    while at < len(code):
        size, shift = 0, 0
        while True:
            at += 1
            size |= (code[at] & 127) << shift
            shift += 7
            if code[at] < 128:
                break
        at += 1 + size
        sections.add(at)
    for end in set(range(len(code))) - sections:
        with pytest.raises(ModuleRefused):
            Made({"module": code[:end]}).run()


@pytest.mark.parametrize("seed", range(8))
def test_a_module_of_changed_bytes_is_refused_or_ends(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(60):
        code = bytearray(draw.choice([ADDER, LOOPER]))
        for _ in range(draw.choice([1, 1, 2, 5])):
            code[draw.randrange(8, len(code))] = draw.randrange(256)
        try:
            Made({"module": bytes(code)}).run(50_000, by=3)
        except (LockstepError, Exhausted, HostTrouble):
            continue


@pytest.mark.parametrize("seed", range(4))
def test_what_the_check_lets_pass_wasmtime_compiles_or_refuses(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(300):
        size = draw.randrange(60)
        body = bytes(
            draw.choice([0x0B, 0x41, 0x01, 0x1A, 0x6A, 0x02, 0x40, 0x0C, 0, 1, 0xFC, 0xFD, 11, 255])
            for _ in range(size)
        )
        code = wasm_attacks.binary(wasm_attacks.section(5, b"\0\1"), body=body + b"\x0b")
        try:
            compiled(code, digest_of(code), lambda weight: None, metered=True)
        except ModuleRefused:
            continue
