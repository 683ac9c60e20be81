"""The commands about blocks: `log`, `show`, `revert`."""

from collections.abc import Iterable, Iterator
from typing import Annotated

import typer
from rich.text import Text

from actors.errors import BlockUnknown
from runtime.chain import Block
from runtime.cli.block_text import BlockList, block_json, fault_texts, lifted_texts, prefix
from runtime.cli.kept import block_of, reading
from runtime.cli.parameters import AsJson, Debug, Kept, Load, WhichBlock
from runtime.cli.screen import Screen
from runtime.history import History
from runtime.store import SqliteStore


def log(
    store: Kept,
    branches: Annotated[
        bool, typer.Option("--branches", help="The blocks of all branches, not of the chain alone.")
    ] = False,
    count: Annotated[
        int | None, typer.Option("-n", "--count", metavar="N", min=0, help="So many at most.", show_default=False)
    ] = None,
    reverse: Annotated[bool, typer.Option("--reverse", help="Oldest first.")] = False,
    as_json: AsJson = False,
    load: Load = None,
    debug: Debug = False,
) -> None:
    """List the blocks from the head down to the genesis, or to the first that was not pruned.

    With --branches also those that a revert left: each with its parent, and (branch) where it is not on the chain.

      lockstep log --store run.db -n 10
      lockstep log --store run.db --json | jq .data.total
    """
    screen = Screen(as_json)
    with reading(store, load) as history:
        found = _blocks(history, branches)
        if count is not None:
            found = (block for block, _ in zip(found, range(count), strict=False))
        blocks = BlockList(screen, parents=branches)
        for block in reversed(list(found)) if reverse else found:
            head = block.hash == history.head.hash
            on_chain = not branches or history.store.hash_at(block.number) == block.hash
            blocks.add(block, "head" if head else "" if on_chain else "branch", head=head, on_chain=on_chain)


def _blocks(history: History, branches: bool) -> Iterator[Block]:
    """Yield blocks, the newest first; those of the chain, or all that are kept."""
    names: Iterable[bytes | int] = range(history.head.number, history.first - 1, -1)
    if branches:
        names = reversed([digest for _, digest in history.store.hashes()])
    for name in names:
        try:
            block = history.find(name)
        except BlockUnknown:
            return  # A run that has the store open has just pruned it, and with it all that are older.
        yield block


def show(block: WhichBlock, store: Kept, as_json: AsJson = False, load: Load = None, debug: Debug = False) -> None:
    """Show one block whole: its header, its inputs, its data.

    A block is named by its number, the first digits of its hash, or head; head~2 is the head's parent's parent.

      lockstep show head --store run.db
      lockstep show 9f0c21ab --store run.db --json
    """
    screen = Screen(as_json)
    with reading(store, load) as history:
        found = block_of(history, block)
        form = block_json(found, whole=True)
        form["on_chain"] = on_chain = history.store.hash_at(found.number) == found.hash
        if as_json:
            screen.json(form)
            return
        where = "head" if found.hash == history.head.hash else "" if on_chain else "on another branch"
        fields = {
            "block": f"{found.number}{f' ({where})' if where else ''}",
            "hash": form["hash"],
            "parent": form["parent"] or "none: this is the genesis",
            "state root": form["state_root"],
            "code": form["code"],
            "gas used": f"{found.gas_used:,}" + ("" if found.costs is None else f" by cost table {found.costs}"),
        }
        for name, text in fields.items():
            screen.line(Text.assemble((f"{name:<12}", "dim"), text), cut=False)
        for at, text in enumerate(fault_texts(found)):
            screen.line(Text.assemble((f"{'' if at else 'host faults':<12}", "dim"), (text, "red")), cut=False)
        for at, text in enumerate(lifted_texts(found)):
            screen.line(Text.assemble((f"{'' if at else 'lifted':<12}", "dim"), text), cut=False)
        for name, value in (("inputs", form["inputs"]), ("data", form["data"])):
            screen.field(name, value, 12)


def revert(block: WhichBlock, store: Kept, as_json: AsJson = False, debug: Debug = False) -> None:
    """Make an earlier block the head again.

    What is run next goes on from there. Nothing is deleted: the later blocks stay readable by their hashes (lockstep
    log --branches), and to revert to one of them brings its branch back.

      lockstep revert head~3 --store run.db
    """
    screen = Screen(as_json)
    with reading(store):
        pass  # to write would make a store where there is none
    writer = SqliteStore(store)
    try:
        history = History(writer)
        before, target = history.head, block_of(history, block)
        if target.hash != before.hash:
            writer.commit(history.revert_of(target))
    finally:
        writer.close()
    if as_json:
        screen.json(block_json(target))
        return
    was = "was the head already" if target.hash == before.hash else "is the head now"
    screen.line(f"block {target.number} ({prefix(target.hash)}) {was}", cut=False)
    if target.hash != before.hash:
        screen.remark(f"back again: lockstep revert {prefix(before.hash)} --store {store}")
