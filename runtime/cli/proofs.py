"""The commands about what a state root pins: `prove`, `check-proof`."""

import re
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from actors.errors import InputError, ProofRefused
from actors.keys import path_text
from actors.limits import PROOF_BYTES_MAX
from actors.proof import TITLE, Proof
from actors.prove import prove as make_proof
from actors.values import ABSENT
from runtime.cli.block_text import prefix
from runtime.cli.kept import block_of, reading
from runtime.cli.parameters import AsJson, Debug, Kept, Load, WhichBlock
from runtime.cli.processes import key_of, process_at
from runtime.cli.program_file import load as import_file
from runtime.cli.screen import Screen, key_text, value_text
from runtime.json_form import key_to_json, to_json
from runtime.view import ProcessView

_STATE_ROOT: Final = re.compile("(?:0x)?([0-9a-fA-F]{64})")
#: Of a proof in hex digits, with some space around it.
_FILE_BYTES_MAX: Final = 2 * PROOF_BYTES_MAX + 1_024


# --- prove ---------------------------------------------------------------------------------------------------------


def prove(
    block: WhichBlock,
    path: Annotated[str, typer.Argument(metavar="PATH", help="The process: / is the root, /shards/3 a child's child.")],
    keys: Annotated[list[str], typer.Argument(metavar="KEY", help='The keys: total, 7, or \'["accounts", "alice"]\'.')],
    store: Kept,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the proof there, in bytes.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Prove that keys of a heap have their values, or are absent, under a block's state root.

    Without --output the proof is printed in hex digits. It has the values in it, and whoever has it and the state root
    can check it with check-proof (or Proof.verify), without the store. Several keys share what they have in common.

      lockstep prove head / total --store run.db --output total.proof
      lockstep prove 12 /bank '["accounts", "alice"]' '["accounts", "bob"]' --store run.db --json
    """
    screen = Screen(as_json)
    wanted = [key_of(key) for key in keys]
    with reading(store) as history:
        found = block_of(history, block)
        state = history.state(found)
        view = process_at(ProcessView(state, ()), path)
        proof = make_proof(state, view.path, wanted)
    data = proof.to_bytes()
    if output is not None:
        try:
            output.write_bytes(data)
        except OSError as error:
            raise InputError(f"{output} cannot be written: {(error.strerror or str(error)).lower()}") from None
    if as_json:
        form = {
            "block": found.number,
            "hash": found.hash.hex(),
            "state_root": found.state_root.hex(),
            "path": path_text(proof.path),
            "keys": [key_to_json(key) for key in proof.keys],
            "bytes": len(data),
        }
        screen.json(form if output is not None else {**form, "proof": data.hex()})
    elif output is None:
        screen.line(data.hex(), cut=False)
    if output is not None:
        size = f"{len(data):,} bytes for block {found.number} ({prefix(found.hash)})"
        screen.remark(f"{size}; to check them: lockstep check-proof {output} {found.state_root.hex()}")


# --- check-proof ---------------------------------------------------------------------------------------------------


def check_proof(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="The proof, in bytes or in hex digits; - is standard input.")
    ],
    state_root: Annotated[
        str, typer.Argument(metavar="STATE_ROOT", help="The block's state root, all 64 hex digits of it.")
    ],
    path: Annotated[
        str | None,
        typer.Argument(metavar="PATH", help="The process that it has to be about.", show_default=False),
    ] = None,
    keys: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY", help="The keys that it has to tell about.", show_default=False),
    ] = None,
    as_json: AsJson = False,
    load: Load = None,
    debug: Debug = False,
) -> None:
    """Check a proof against a state root, and print what it proves.

    It needs no store. A proof that is damaged, forged, of another block, or not about PATH and KEY where they are given,
    ends with exit code 1. Take the state root from somebody whom you trust (lockstep show BLOCK prints it).

      lockstep check-proof total.proof 0fadd9ff4da8b17fcaa2b5f4ff84b45fb24c5c4fb8d7cd8ba1d9b32c6a2fd1aa / total
      lockstep prove head /bank alice --store run.db | lockstep check-proof - $STATE_ROOT /bank alice --json
    """
    screen = Screen(as_json)
    match = _STATE_ROOT.fullmatch(state_root)
    if match is None:
        raise InputError(
            f"{state_root!r} is no state root: it takes all 64 hex digits, as lockstep show prints them, not the first few"
        )
    for one in load or ():
        import_file(one)
    proof = Proof.from_bytes(_proof_bytes(file))
    try:
        proved = proof.verify(bytes.fromhex(match[1]), path, *[key_of(key) for key in keys or ()])
    except ProofRefused as error:
        if "registered" in str(error):
            error.add_note("here: --load FILE imports it")
        raise
    place = path_text(proof.path)
    for key, value in proved.items():
        absent = value is ABSENT
        if as_json:
            told = {"absent": True} if absent else {"value": to_json(value)}
            screen.json({"path": place, "key": key_to_json(key), **told})
        else:
            said = (Text(" is absent", style="dim"),) if absent else (Text(" = ", style="dim"), value_text(value))
            screen.line(Text.assemble((f"{place}  ", "bold"), key_text(key), *said))


def _proof_bytes(file: str) -> bytes:
    """Return a proof's bytes from a file that has them, or has them in hex digits."""
    try:
        if file == "-":
            data = sys.stdin.buffer.read(_FILE_BYTES_MAX)
        else:
            with Path(file).open("rb") as stream:
                data = stream.read(_FILE_BYTES_MAX)
    except OSError as error:
        raise InputError(f"{file} cannot be read: {(error.strerror or str(error)).lower()}") from None
    if not data.startswith(TITLE):
        try:
            return bytes.fromhex(data.decode("ascii"))
        except ValueError:
            pass  # It is refused as what it is.
    return data
