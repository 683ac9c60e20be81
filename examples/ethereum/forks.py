"""Which rules hold at which block, and a private second copy of the package's modules for each set of rules.

The package holds one Python package per hard fork, each complete in itself. To run them on a heap, their
`state` module must be another. Replacing functions in the installed modules would break everybody else in the
process who uses them, first of all the comparison with the unmodified package. So each fork is loaded a
second time, from the same source files, under an alias; the fork's modules import each other relatively, and
so find the `state` that was placed under the alias beforehand. The installed modules stay untouched, and both
copies run side by side.

What the copies share with the installed package is what no fork owns: hashing, signatures, number types,
exceptions.
"""

import importlib
import importlib.util
import sys
import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import ethereum.forks

from .interpreter import install_gas, install_loop

__all__ = ["FORK_STARTS", "PRAGUE_START", "Fork", "fork_at", "installed_fork", "private_fork"]

#: Mainnet: the first block of each fork, in order.
FORK_STARTS: Final[Mapping[str, int]] = {
    "frontier": 0,
    "homestead": 1_150_000,
    "dao_fork": 1_920_000,
    "tangerine_whistle": 2_463_000,
    "spurious_dragon": 2_675_000,
    "byzantium": 4_370_000,
    "constantinople": 7_280_000,
    "istanbul": 9_069_000,
    "muir_glacier": 9_200_000,
    "berlin": 12_244_000,
    "london": 12_965_000,
    "arrow_glacier": 13_773_000,
    "gray_glacier": 15_050_000,
    "paris": 15_537_394,
    "shanghai": 17_034_870,
    "cancun": 19_426_587,
}

#: The first block whose rules are not covered here.
PRAGUE_START: Final = 22_431_084

_ALIAS: Final = "_ethereum_on_heap_"
#: What a copy's functions do to its modules once all of them are loaded.
Finish = Callable[["Fork"], None]
#: Loading a package is not atomic: two threads would each see half of the other's.
_loading = threading.Lock()


@dataclass(frozen=True, slots=True)
class Fork:
    """The modules of one fork that callers need; `Any`, since each fork has types of its own."""

    name: str
    fork: Any
    vm: Any
    state: Any
    types: Any
    blocks: Any
    transactions: Any
    trie: Any

    def since(self, other: str) -> bool:
        """Whether this fork's rules contain those of `other`."""
        names = list(FORK_STARTS)
        return names.index(self.name) >= names.index(other)


def fork_at(number: int) -> str:
    """The name of mainnet's fork at a block number. ValueError beyond Cancun."""
    if not 0 <= number < PRAGUE_START:
        raise ValueError(
            f"block {number}: mainnet's rules are known here for blocks 0 to {PRAGUE_START - 1}, frontier to "
            "cancun; name a fork explicitly to run the block under its rules"
        )
    names = list(FORK_STARTS)
    return names[bisect_right(list(FORK_STARTS.values()), number) - 1]


def check_name(name: str) -> str:
    """`name`, or ValueError with the names that there are."""
    if name not in FORK_STARTS:
        raise ValueError(f"there is no fork {name!r} here; there are {', '.join(FORK_STARTS)}")
    return name


def installed_fork(name: str) -> Fork:
    """The unmodified fork."""
    return _fork(name, f"ethereum.forks.{check_name(name)}")


def private_fork(
    name: str,
    fill_state: Callable[[ModuleType, Any], None],
    *,
    kind: str = "plain",
    finish: Finish | None = None,
) -> Fork:
    """A copy of the fork over another `state` module; loaded once in a process for each kind, then the same one.

    fill_state  puts the functions into the empty state module that it is given, with the copy's `fork_types`.
    kind        tells copies over different `state` modules apart.
    finish      changes the copy's other modules, once, when all of them are loaded.

    The copy's interpreter is the faster one of interpreter.py.
    """
    alias = f"{_ALIAS}{kind}_{check_name(name)}"
    with _loading:
        if f"{alias}.ready" not in sys.modules:
            _load_copy(name, alias, fill_state)
            if finish is not None:
                finish(_fork(name, alias))
            sys.modules[f"{alias}.ready"] = sys.modules[alias]
    return _fork(name, alias)


def _load_copy(name: str, alias: str, fill_state: Callable[[ModuleType, Any], None]) -> None:
    folder = Path(ethereum.forks.__path__[0]) / name
    spec = importlib.util.spec_from_file_location(
        alias, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"ethereum-execution has no fork {name!r} in {folder}")
    package = importlib.util.module_from_spec(spec)
    sys.modules[alias] = package
    spec.loader.exec_module(package)
    types = importlib.import_module(f"{alias}.fork_types")
    state = ModuleType(f"{alias}.state", f"Stands in for {name}'s state module; see fork_state.py.")
    fill_state(state, types)
    sys.modules[state.__name__] = state
    package.__dict__["state"] = state
    # In this order: each is complete before the next imports from it by name.
    gas = importlib.import_module(f"{alias}.vm.gas")
    install_gas(gas)
    instructions = importlib.import_module(f"{alias}.vm.instructions")
    install_loop(importlib.import_module(f"{alias}.vm.interpreter"), instructions, gas)
    importlib.import_module(f"{alias}.fork")


def _fork(name: str, package: str) -> Fork:
    def module(part: str) -> Any:
        return importlib.import_module(f"{package}.{part}")

    return Fork(
        name=name,
        fork=module("fork"),
        vm=module("vm"),
        state=module("state"),
        types=module("fork_types"),
        blocks=module("blocks"),
        transactions=module("transactions"),
        trie=module("trie"),
    )
