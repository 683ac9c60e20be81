"""The guards: what of the outside a program is kept from while it runs, by name, with the reason and the mend.

They are against mistakes, not against attacks: a program that means to get round them can. `runtime.guards` is the fence
that refuses; here is what the language knows of it: the names that a program may lift, and what the refusal says.

    class Stamped(Process):
        lifted = ("clock",)                  # trusted with this one; blocks record it
        allowed_modules = ("numpy",)         # may be imported inside `run`
"""

from __future__ import annotations

from typing import Final, NamedTuple


class Guard(NamedTuple):
    """One kind of thing that is refused.

    The reason and the mend go on behind the call that is refused: "time.time(): a process has no clock, ...".
    """

    reason: str
    mend: str


_FETCHED: Final = "let the caller of advance() fetch it, and hand it in with the block's input"

#: All of them, by name.
GUARDS: Final[dict[str, Guard]] = {
    "clock": Guard(
        "a process has no clock, for a replay would see another time",
        "use `await self.now()`, the block's time",
    ),
    "random": Guard(
        "a process that draws from here draws something else when it is replayed",
        "use `self.random`, or random.Random(seed) with a seed from the heap",
    ),
    "environment": Guard("it is another on another machine, or in another OS process", _FETCHED),
    "files": Guard("what is outside the state may be different by the next execution", _FETCHED),
    "network": Guard("what is outside the state may be different by the next execution", _FETCHED),
    "subprocess": Guard(
        "what another OS process does is not in the state, and a replay would do it again",
        "let the caller of advance() start it, before the block or behind it",
    ),
    "threads": Guard(
        "who ends first decides there, and nothing of it is in the state",
        "start a child: put(…, start=True); children run side by side, and the result does not show how",
    ),
    "identity": Guard(
        "an address in memory is another one in every OS process",
        "compare values, or number the objects yourself",
    ),
    "locale": Guard(
        "it follows the language that this machine is set to", "format it without the locale, by an f-string"
    ),
    "interpreter": Guard(
        "the interpreter is one for the host and all processes that it steps, and a worker or a replay has another one",
        "leave it as it is, or set it for a stretch of code, where there is a `with` for that: warnings.catch_warnings()",
    ),
    "imports": Guard(
        "what a module does when it is loaded is no part of what the program does",
        "import it at the top of the module, or name it in allowed_modules",
    ),
}
