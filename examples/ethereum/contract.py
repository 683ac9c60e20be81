"""The contract of the signed blocks, in byte code written by hand.

No compiler is needed for it, and every operation is there for one thing that a state has to get right. The
call data are three words: the operation, and its arguments a and b.

    1 count    slot 0 += 1, and a log of it
    2 put      slot a = b (0 frees the slot), and a log of it
    3 fail     write slot 1, then revert (no such opcode before Byzantium: the call fails, its gas is gone)
    4 spin     loop until the gas is gone
    5 descend  call itself with nearly all its gas, as deep as the rules allow
    6 spawn    create a contract that destroys itself when it is called; remember it in slot 3
    7 leave    call the contract in slot 3, if any, and forget it
    8 look     slot 4 = the hash of the block before, slot 5 = the miner's balance
"""

from functools import cache
from typing import Final

from ethereum.forks.cancun.vm.instructions import Ops

__all__ = ["assemble", "creation_code", "runtime_code"]

#: Creates a contract of two bytes, CALLER SELFDESTRUCT: returns them from memory.
SPAWN: Final = "0x6133ff6000526002601ef3"

#: `name:` is a jump destination and `@name` pushes its offset; numbers are pushed; the rest are opcodes.
RUNTIME: Final = f"""
    0 CALLDATALOAD
    DUP1 1 EQ @count JUMPI
    DUP1 2 EQ @put JUMPI
    DUP1 3 EQ @fail JUMPI
    DUP1 4 EQ @spin JUMPI
    DUP1 5 EQ @descend JUMPI
    DUP1 6 EQ @spawn JUMPI
    DUP1 7 EQ @leave JUMPI
    DUP1 8 EQ @look JUMPI
    STOP

    count:    0 SLOAD 1 ADD DUP1 0 SSTORE
              0 MSTORE CALLER 32 0 LOG1 STOP

    put:      64 CALLDATALOAD 32 CALLDATALOAD SSTORE
              64 CALLDATALOAD 0 MSTORE 32 CALLDATALOAD CALLER 32 0 LOG2 STOP

    fail:     7 1 SSTORE 0 0 REVERT

    spin:     @spin JUMP

    descend:  5 0 MSTORE
              0 0 32 0 0 ADDRESS 1000 GAS SUB CALL POP STOP

    spawn:    {SPAWN} 0 MSTORE
              11 21 0 CREATE 3 SSTORE STOP

    leave:    0 0 0 0 0 3 SLOAD 5000 GAS SUB CALL POP
              0 3 SSTORE STOP

    look:     1 NUMBER SUB BLOCKHASH 4 SSTORE
              COINBASE BALANCE 5 SSTORE STOP
"""

#: Copies what follows it into memory and returns it.
CREATION: Final = "{size} {offset} 0 CODECOPY {size} 0 RETURN"

PUSH1: Final = 0x60
#: Offsets are pushed as two bytes, so that a label's width does not depend on where it stands.
PUSH2: Final = 0x61


def assemble(source: str) -> bytes:
    """Byte code for words as in RUNTIME. KeyError for a word that is none."""
    code = bytearray()
    labels: dict[str, int] = {}
    uses: list[tuple[int, str]] = []
    for word in source.split():
        if word.endswith(":"):
            labels[word[:-1]] = len(code)
            code.append(Ops["JUMPDEST"].value)
        elif word.startswith("@"):
            uses.append((len(code) + 1, word[1:]))
            code += bytes([PUSH2, 0, 0])
        elif word[0].isdigit():
            number = int(word, 0)
            data = number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")
            code += bytes([PUSH1 + len(data) - 1]) + data
        else:
            code.append(Ops[word].value)
    for at, label in uses:
        code[at : at + 2] = labels[label].to_bytes(2, "big")
    return bytes(code)


@cache
def runtime_code() -> bytes:
    """The contract's code."""
    return assemble(RUNTIME)


@cache
def creation_code() -> bytes:
    """The data of the transaction that creates the contract."""
    size = len(runtime_code())
    # The offset is a byte wide whatever its value, so its own length can be found with any.
    length = len(assemble(CREATION.format(size=size, offset=0)))
    return assemble(CREATION.format(size=size, offset=length)) + runtime_code()
