"""Modules in a world: what stands for each, and what an import statement gives.

A module of the user's is stood for by one in which copies are made when they are asked for. Functions are looked through for
import statements when they are copied, and what they import is imported then: so that what a process finds does not
depend on what the machine has imported before.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final

from actors.errors import ProgramError
from runtime.metering.modules import DETERMINISTIC, Refused, facade, is_ours, is_standard, refused_module, root_of
from runtime.metering.step import building

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

#: Modules of Lockstep that are the machine's.
_MACHINE: Final = frozenset({"actors.meter", "actors.memory"})


class Modules:
    """The modules of one world.

    Args:
        whole: makes what stands for a thing in the world.
        is_allowed: whether a module, by name, is trusted beside the standard ones.
    """

    def __init__(self, whole: Callable[[Any], Any], is_allowed: Callable[[str], bool]) -> None:
        self._whole = whole
        self._is_allowed = is_allowed
        self._modules: dict[str, Any] = {}
        #: Modules that functions import, by name, and why those that cannot be.
        self._imported: dict[str, ModuleType | ImportError] = {}

    def value(self, module: ModuleType) -> Any:
        """Return what stands for a module."""
        name = module.__name__
        if name not in self._modules:
            self._modules[name] = self._stand_for(module, name)
        return self._modules[name]

    def _stand_for(self, module: ModuleType, name: str) -> Any:
        if self._is_allowed(name) or root_of(name) == "pyrsistent":
            return module
        if is_standard(name):
            return facade(module) if name in DETERMINISTIC else refused_module(name)
        if is_ours(name):
            return facade(module) if root_of(name) == "actors" and name not in _MACHINE else refused_module(name)
        if not (getattr(module, "__file__", None) or ".py").endswith(".py"):
            return Refused(f"the module {name}", "there is no Python source to meter; name it in allowed_modules")
        made = ModuleType(name, module.__doc__)

        def __getattr__(wanted: str) -> Any:  # noqa: N807
            if wanted.startswith("__") or not hasattr(module, wanted):
                raise AttributeError(f"module {name!r} has no attribute {wanted!r}")
            with building():
                found = self._whole(getattr(module, wanted))
            vars(made)[wanted] = found
            return found

        vars(made)["__getattr__"] = __getattr__
        return made

    def import_ahead(self, name: str, level: int, wanted: Iterable[str], package: str) -> None:
        """Import what an import statement names, and make all that it wants of it."""
        whole = _absolute(name, level, package)
        try:
            module = self._imported[whole] = importlib.import_module(whole)
        except ImportError as error:
            self._imported[whole] = error
            return
        self._imported[root_of(whole)] = sys.modules[root_of(whole)]
        stands = self.value(module)
        for one in wanted:
            if not hasattr(module, one) and hasattr(module, "__path__"):
                try:
                    importlib.import_module(f"{whole}.{one}")
                except ImportError:
                    continue
            if isinstance(stands, ModuleType):
                getattr(stands, one, None)

    def imported(self, name: str, wanted: Any, level: int, package: str) -> Any:
        """Return what an import statement gives.

        Raises:
            ProgramError: there is no such module for metered code.
            ImportError: as outside.
        """
        whole = _absolute(name, level, package)
        if whole not in self._imported and whole not in DETERMINISTIC:
            raise ProgramError(f"metered code imports {whole}, which no import statement names: write one")
        if whole not in self._imported:
            self.import_ahead(whole, 0, (), "")
        module = self._imported[whole]
        if isinstance(module, ImportError):
            raise ImportError(*module.args, name=module.name)
        return self.value(module if wanted else self._top(whole))

    def _top(self, whole: str) -> ModuleType:
        top = self._imported[root_of(whole)]
        assert isinstance(top, ModuleType)
        return top


def _absolute(name: str, level: int, package: str) -> str:
    return importlib.util.resolve_name("." * level + name, package) if level else name
