"""Letters: how mail gets to an actor that is a process, or to an office below, and back from it.

    "mail"        message, sender, kind, …; to an office also to whom; in place of mail, (whether there is an answer, it or why not)
    "letter"      status, how many were handled, news, how many pages follow, to, message, kind, …; from an office also who
    "letter", n   the n-th page behind the first: to, message, kind, …

News is the name of the class that an actor became. From an office it is the failure that it hands up: the address of the actor
that failed, and the class name of the exception.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from actors.calls import Get, Put, made
from actors.errors import ChildFailed, LimitExceeded, ProgramError
from actors.failures import name_of
from actors.hosting import Failure
from actors.keys import encode_key, path_text
from actors.limits import MESSAGES_MAX
from actors.memory import to_slot
from actors.terms import IN, OUT

if TYPE_CHECKING:
    from actors.desks import Desk
    from actors.heap import Heap
    from actors.process import Process

_IN: Final = encode_key(IN)
_OUT: Final = encode_key(OUT)
#: Fields of a letter before what was sent.
_HEAD: Final = 4

NOT_TAKEN: Final = "it did not deliver its mail"


class Letter(NamedTuple):
    """What an actor, or an office below, left for its office."""

    status: int
    handled: int
    news: Any
    #: (to, message, kind), from an office also who.
    sent: list[Any]


# --- in the office ---


async def bring(office: Process, desk: Desk) -> None:
    """Give an actor that is a process its mail, or the answer that it waits for, and start it.

    Where it cannot be made, or that is more than it may have, it has failed on it.
    """
    answer, desk.answer = desk.answer, None
    if answer is None:
        desk.give()
        answer = tuple(chain.from_iterable(desk.given))
    name, gas, program = desk.address[-1], desk.program.gas, desk.program if desk.reset else None
    try:
        if desk.values is None and not desk.office:
            await made(Put(name, ((_IN, to_slot(answer)),), program, (), True, gas))
        else:
            values = {**dict(desk.values or ()), IN: answer}
            if desk.office:
                values[OUT] = None
            await office.put(name, values, program=program, start=True, gas=gas)
    except LimitExceeded as error:
        desk.refused = Failure(name_of(error))
    else:
        desk.reset, desk.values = False, None


async def fetch(office: Process, desk: Desk) -> Letter | Failure:
    """Return the letter of an actor that is a process, once it has stopped; or that it failed."""
    name = desk.address[-1]
    refused, desk.refused = desk.refused, None
    if refused is not None:
        return refused
    try:
        letter = await made(Get(name, (_OUT,)))
    except ChildFailed as failure:
        return Failure(failure.error)
    if letter is None:
        return Failure(NOT_TAKEN)
    status, handled, news, pages = letter[:_HEAD]
    entries = letter[_HEAD:]
    for page in range(pages):
        entries += await office.get(name, (OUT, page + 1))
    return Letter(status, handled, news, [*zip(*[iter(entries)] * (4 if desk.office else 3), strict=True)])


# --- in the actor ---


def mail_in(process: Process, width: int) -> list[Any]:
    """Return the mail that an office put into the heap of a process that is an actor of it.

    Args:
        process: the actor, or the office.
        width: how many fields a piece of mail has.

    Raises:
        ProgramError: no office put that there.
    """
    mail = process.heap.get(IN)
    if type(mail) is not tuple or len(mail) % width or (mail and (type(mail[1]), type(mail[2])) != (tuple, int)):
        raise ProgramError(
            f"{path_text(process.path)}: under {IN!r} in its heap there is no mail that an office brought; that key is the "
            f"library's, so let an office start it (spawn), or call what you put there otherwise"
        )
    return [*zip(*[iter(mail)] * width, strict=True)]


def put_letter(heap: Heap, head: tuple[int, int, Any], sent: list[Any]) -> None:
    """Leave what was sent where the office above fetches it: in pages, so that each is a short value.

    Args:
        heap: of who sent it.
        head: the status, how many messages were handled, and the news.
        sent: what was sent.
    """
    page = MESSAGES_MAX
    pages = max(0, (len(sent) - 1) // page)
    for index in range(1, pages + 1):
        heap[OUT, index] = tuple(chain.from_iterable(sent[index * page : (index + 1) * page]))
    heap[OUT] = (*head, pages, *chain.from_iterable(sent[:page] if pages else sent))
