"""Programs that raise exceptions of which nothing can be told. Workers import them by the module's name."""

from __future__ import annotations

from typing import Any

from actors import Process, Root


class Unprintable(Exception):
    def __str__(self) -> str:
        return self.detail  # type: ignore[attr-defined,no-any-return]


class Silent(Exception):
    def __str__(self) -> Any:
        return None


class Noted(Exception):
    __notes__ = 5


class WronglyNoted(Exception):
    __notes__ = ("a note", 7, Unprintable())


class Nameless(type):
    @property
    def __name__(cls) -> str:
        raise LookupError


class Hidden(Exception, metaclass=Nameless):
    pass


class Classless(Exception):
    @property
    def __class__(self) -> Any:
        raise LookupError


class Causeless(Exception):
    @property
    def __cause__(self) -> Any:
        raise LookupError

    @property
    def __context__(self) -> Any:
        raise LookupError


class Ending(Exception):
    def __str__(self) -> str:
        raise SystemExit


def circular() -> Exception:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    return one


WEIRD: dict[str, Any] = {
    "Unprintable": Unprintable,
    "Silent": Silent,
    "Noted": Noted,
    "WronglyNoted": WronglyNoted,
    "Hidden": Hidden,
    "Classless": Classless,
    "Causeless": Causeless,
    "Ending": Ending,
    "ValueError": circular,
}


class Raising(Process):
    async def run(self) -> None:
        raise WEIRD[self.heap["which"]]()


class Top(Root):
    async def run(self) -> Any:
        which, placement = self.heap["block", "which"], self.heap["block", "placement"]
        if placement is None:
            raise WEIRD[which]()
        await self.put("c", {"which": which}, program=Raising, start=True, placement=placement)
        if self.heap["block", "told"]:
            return (await self.status("c")).error
        return await self.get("c", "which")
