"""The commands about processes and their heaps: `tree`, `get`."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text
from rich.tree import Tree

from actors.errors import InputError, LockstepError, NoSuchChild
from actors.keys import Key, path_text
from runtime.cli.kept import block_of, reading
from runtime.cli.parameters import AsJson, Debug, Kept, Load, WhichBlock
from runtime.cli.screen import Screen, key_text, one_line, printable, value_text
from runtime.json_form import Json, key_from_json, key_to_json, parse_json, to_json
from runtime.view import ProcessView

_STYLES: Final = {"failed": "red", "host fault": "red", "out of gas": "yellow", "running on": "cyan"}


# --- tree ----------------------------------------------------------------------------------------------------------


def tree(
    store: Kept, block: WhichBlock = "head", as_json: AsJson = False, load: Load = None, debug: Debug = False
) -> None:
    """Show the tree of processes behind a block.

    A line has its name, its program, how many keys its heap has, and how it stands.

      lockstep tree --store run.db
      lockstep tree 12 --store run.db --json | jq -r 'select(.status != "returned").path'
    """
    screen = Screen(as_json)
    with reading(store, load) as history:
        root = ProcessView(history.state(block_of(history, block)), ())
        if as_json:
            for view in root.walk():
                screen.json(_process_json(view))
        elif screen.terminal:
            screen.draw(_drawn(root))
        else:
            for view in root.walk():
                screen.line(Text("  ").join([Text(path_text(view.path)), *_about(view)]))


def _process_json(view: ProcessView) -> Json:
    return {
        "path": path_text(view.path),
        "program": view.program,
        "keys": len(view.heap),
        "status": view.status(),
        "pending": view.pending,
        "gas": view.gas,
        "digest": view.digest().hex(),
    }


def _about(view: ProcessView) -> list[Text]:
    keys, status = len(view.heap), view.status()
    style = next((style for word, style in _STYLES.items() if status.startswith(word)), "dim")
    about = [
        Text(printable(view.program or "no program"), style="blue" if view.program else "dim"),
        Text(f"{keys:,} key{'' if keys == 1 else 's'}"),
        Text(printable(status), style=style),
    ]
    if view.gas is not None:
        about.append(Text(f"{view.gas:,} gas given", style="dim"))
    return about


def _drawn(root: ProcessView) -> Tree:
    """Return the picture of a process and all below it. No recursion: a tree of processes may be deep."""
    branches: dict[tuple[str | int, ...], Tree] = {}
    for view in root.walk():
        name = path_text(view.path[-1:]).removeprefix("/") if view.path else "/"
        label = Text("  ").join([Text(name, style="bold"), *_about(view)])
        above = branches.get(view.path[:-1])
        branches[view.path] = Tree(label, guide_style="dim") if above is None else above.add(label)
    return branches[()]


# --- get -----------------------------------------------------------------------------------------------------------


def get(
    block: WhichBlock,
    path: Annotated[str, typer.Argument(metavar="PATH", help="The process: / is the root, /shards/3 a child's child.")],
    store: Kept,
    key: Annotated[
        str | None,
        typer.Argument(metavar="KEY", help='The key: total, 7, or \'["accounts", "alice"]\'.', show_default=False),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option("--prefix", metavar="KEY", help="List only keys that begin with this.", show_default=False),
    ] = None,
    limit: Annotated[
        int | None, typer.Option("--limit", metavar="N", min=0, help="List so many keys at most.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    load: Load = None,
    debug: Debug = False,
) -> None:
    """Print a value from a heap, or list its keys and values.

    A key is JSON: a string, a number, or an array of them. A plain word is a string, so "total" needs no quotes of its
    own; the string of digits does: '"7"'.

      lockstep get head / total --store run.db
      lockstep get 12 /bank '["accounts", "alice"]' --store run.db
      lockstep get head /bank --prefix accounts --limit 10 --store run.db
    """
    screen = Screen(as_json)
    if key is not None and (prefix is not None or limit is not None):
        raise InputError("--prefix and --limit are for lists; leave KEY out")
    one = None if key is None else key_of(key)
    region = () if prefix is None else key_of(prefix)
    with reading(store, load) as history:
        view = process_at(ProcessView(history.state(block_of(history, block)), ()), path)
        if one is not None:
            if one not in view.heap:
                raise _missing(view, one, block, store)
            form = to_json(view.heap[one])
            if as_json:
                screen.json(form)
            else:
                screen.value(form)
            return
        _list(screen, view, region, limit)


def _list(screen: Screen, view: ProcessView, region: Key, limit: int | None) -> None:
    begin = _elements(region)
    entries = view.heap.items(region)
    for rest, value in entries if limit is None else islice(entries, limit):
        whole = (*begin, *_elements(rest))
        key = whole[0] if len(whole) == 1 else whole
        if screen.as_json:
            screen.json({"key": key_to_json(key), "value": to_json(value)})
        else:
            screen.line(Text.assemble(key_text(key), (" = ", "dim"), value_text(value)))


def _elements(key: Key) -> tuple[str | int | bytes, ...]:
    return key if isinstance(key, tuple) else (key,)


def key_of(text: str) -> Key:
    """Return the key that an argument says: JSON where it is JSON of a key, else the text itself."""
    try:
        form = parse_json(text)
    except InputError as error:
        if text[:1] in ("[", "{", '"'):
            raise InputError(f"the key {text} is {error}") from None
        return text
    if form is None or isinstance(form, (bool, float)):
        return text
    try:
        return key_from_json(form)
    except InputError as error:
        raise InputError(f"the key {text}: {error}") from None


def process_at(root: ProcessView, path: str) -> ProcessView:
    """Return the process that an argument names. Raises LockstepError: there is none; it tells those that there are."""
    try:
        return root.at(path)
    except NoSuchChild as error:
        names = ", ".join(path_text((name,))[1:] for name in error.known) + (", …" if error.more else "")
        has = f"its children are {names}" if error.known else "it has no children"
        raise LockstepError(f"there is no process {path}: {error.place} has no child {error.name!r}; {has}") from None


def _missing(view: ProcessView, key: Key, block: str, store: Path) -> LockstepError:
    place = path_text(view.path)
    said = one_line(key_to_json(key))
    below = len(view.heap.region(key))
    if below:
        count = f"{below:,} keys begin" if below > 1 else "a key begins"
        hint = f"{count} with it: lockstep get {block} {place} --prefix '{said}' --store {store}"
    elif not view.heap:
        hint = "the heap is empty"
    else:
        first = ", ".join(one_line(key_to_json(known)) for known in islice(view.heap, 5))
        hint = f"it has {len(view.heap):,} keys: {first}{', …' if len(view.heap) > 5 else ''}"
    return LockstepError(f"no key {said} in the heap of {place}; {hint}")
