"""The command about two blocks: `diff`."""

from typing import Annotated, Any, Final

import typer
from rich.text import Text

from actors.keys import path_text, read_key
from actors.trap import TrapKind
from actors.values import ABSENT
from runtime.cli.block_text import prefix
from runtime.cli.kept import block_of, reading
from runtime.cli.parameters import AsJson, Debug, Kept, Load
from runtime.cli.screen import Screen, key_text, one_line, printable, value_text
from runtime.difference import KeyDifference, ProcessDifference, difference
from runtime.json_form import Json, key_to_json, to_json

_SIGNS: Final = {"added": "+", "removed": "-", "changed": "~"}
_STYLES: Final = {"added": "green", "removed": "red", "changed": "yellow"}


def diff(
    old: Annotated[str, typer.Argument(metavar="A", help="A block: a number, first digits of a hash, head, head~2.")],
    new: Annotated[str, typer.Argument(metavar="B", help="Another block, on any branch.")],
    store: Kept,
    as_json: AsJson = False,
    load: Load = None,
    debug: Debug = False,
) -> None:
    """Show what changed from block A to block B, key by key.

    + is only in B, - is only in A, ~ is in both and differs. It reads what differs, however large the rest is.

      lockstep diff head~1 head --store run.db
      lockstep diff 3 9 --store run.db --json
    """
    screen = Screen(as_json)
    with reading(store, load) as history:
        one, other = block_of(history, old), block_of(history, new)
        same = True
        for found in difference(history.state(one), history.state(other)):
            same = False
            if as_json:
                screen.json(_json(found))
            else:
                _print(screen, found)
        if same and not as_json:
            screen.remark(f"no difference: state root {prefix(one.state_root)} behind both")


def _kind(key: KeyDifference) -> str:
    return "added" if key.old is ABSENT else "removed" if key.new is ABSENT else "changed"


def _json(found: ProcessDifference) -> Json:
    return {
        "path": path_text(found.path),
        "kind": found.kind,
        "control": {
            name: {"old": _control(name, old), "new": _control(name, new)} for name, (old, new) in found.control.items()
        },
        "keys": [
            {
                "key": key_to_json(key.key),
                "kind": _kind(key),
                **{side: to_json(value) for side, value in (("old", key.old), ("new", key.new)) if value is not ABSENT},
            }
            for key in found.keys
        ],
    }


def _control(name: str, value: Any) -> Json:
    """Return a control value (runtime.state.Control) in words."""
    if value is None:
        return None
    if name == "trap":
        return TrapKind(value).name.lower().replace("_", " ")
    if name == "input_at":
        return key_to_json(read_key(value))
    return to_json(value)


def _print(screen: Screen, found: ProcessDifference) -> None:
    sign = Text(f"{_SIGNS[found.kind]} {path_text(found.path)}", style=f"bold {_STYLES[found.kind]}")
    if found.kind != "changed":
        programs = found.control.get("program", (None, None))
        sign.append(f"  {printable(programs[0] or programs[1] or 'no program')}", style="not bold")
    screen.line(sign)
    if found.kind == "changed":
        for name, (old, new) in found.control.items():
            what = f"    {name.replace('_', ' ')}: {one_line(_control(name, old))} → {one_line(_control(name, new))}"
            screen.line(Text(what, style="dim"), cut=False)
    for key in found.keys:
        kind = _kind(key)
        line = Text.assemble((f"  {_SIGNS[kind]} ", _STYLES[kind]), key_text(key.key), (" = ", "dim"))
        line.append_text(value_text(key.new if kind == "added" else key.old))
        if kind == "changed":
            line.append(" → ", style="dim")
            line.append_text(value_text(key.new))
        screen.line(line, cut=False)
