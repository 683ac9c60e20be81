"""A block as one line for people, and as one object for scripts: the same wherever blocks are listed.

    block  hash        state root        gas  data
        3  9f0c21ab77  51e0d3c4aa      1,204  {"total": 332833500}

The prefixes are long enough to be handed back to `show` and the others.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Final

from rich.text import Text

from actors.keys import path_text
from runtime.cli.screen import Screen, counted, printable, value_text
from runtime.json_form import to_json

if TYPE_CHECKING:
    from runtime.chain import Block
    from runtime.json_form import Json

_DIGITS: Final = 10
_NUMBER_WIDTH: Final = 5
_GAS_WIDTH: Final = 9


def prefix(digest: bytes) -> str:
    """Return the first digits of a hash."""
    return digest.hex()[:_DIGITS]


def block_json(block: Block, *, whole: bool = False) -> Json:
    """Return a block as JSON.

    Args:
        block: the block.
        whole: with all fields of the header, and the inputs.
    """
    form = {
        "number": block.number,
        "hash": block.hash.hex(),
        "parent": block.parent.hex(),
        "state_root": block.state_root.hex(),
        "gas_used": block.gas_used,
    }
    if whole:
        form["code"] = block.code.hex()
        form["inputs_digest"] = block.inputs_digest.hex()
        form["data_digest"] = sha256(block.data_form).hexdigest()
        form["inputs"] = to_json(block.inputs)
    form["data"] = to_json(block.data)
    if block.costs is not None:
        form["costs"] = block.costs
    if block.lifted:
        form["lifted"] = [
            {"program": program, "guards": list(guards), "modules": list(modules)}
            for program, guards, modules in block.lifted
        ]
    if block.faults:
        form["faults"] = [{"path": path_text(path), "turn": turn, "error": error} for path, turn, error in block.faults]
    return form


def fault_texts(block: Block) -> list[str]:
    """Return the host faults of a block, each on a line, for people."""
    lines = []
    for path, turn, error in block.faults:
        before = f", when it had been waited for {counted(turn, 'time', 'times')}" if turn else ""
        lines.append(printable(f"{path_text(path)}: {error}{before}"))
    return lines


def lifted_texts(block: Block) -> list[str]:
    """Return which guards the programs of a block lifted, each program on a line, for people."""
    return [
        printable(f"{program}: {', '.join([*guards, *(f'import {name}' for name in modules)])}")
        for program, guards, modules in block.lifted
    ]


class BlockList:
    """Prints blocks as they come.

    Args:
        screen: where.
        parents: whether to show parents: for a list that is no chain.
    """

    def __init__(self, screen: Screen, *, parents: bool = False) -> None:
        self._screen = screen
        self._parents = parents
        self._machine_begun = False

    def add(self, block: Block, mark: str = "", **more: Json) -> None:
        """Print a block.

        Args:
            block: the block.
            mark: a word for people behind its number's line.
            more: further fields for scripts.
        """
        if self._screen.as_json:
            self._screen.json({**block_json(block), **more})
            return
        if not self._machine_begun and self._screen.terminal:
            parent = f"{'parent':<{_DIGITS}}  " if self._parents else ""
            heads = f"{'block':>{_NUMBER_WIDTH}}  {'hash':<{_DIGITS}}  {parent}{'state root':<{_DIGITS}}  {'gas':>{_GAS_WIDTH}}  data"
            self._screen.line(Text(heads, style="dim"))
        self._machine_begun = True
        self._screen.line(self._row(block, mark))

    def _row(self, block: Block, mark: str) -> Text:
        row = Text()
        row.append(f"{block.number:>{_NUMBER_WIDTH}}", style="bold")
        row.append(f"  {prefix(block.hash)}", style="yellow")
        if self._parents:
            row.append(f"  {prefix(block.parent):<{_DIGITS}}", style="dim")
        row.append(f"  {prefix(block.state_root)}", style="blue")
        row.append(f"  {block.gas_used:>{_GAS_WIDTH},}  ")
        if mark:
            row.append(f"({mark}) ", style="bold green")
        if block.faults:
            row.append(f"({counted(len(block.faults), 'host fault', 'host faults')}) ", style="red")
        if block.number:
            row.append_text(value_text(block.data))
        else:
            row.append("genesis", style="dim")
        return row
