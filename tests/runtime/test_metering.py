"""The metered variant of a program does what the program does, and ends at any gas that is not enough."""

from __future__ import annotations

import ast
from typing import Any

import metered_syntax
import pytest
from metered_programs import PROGRAMS, program_of
from metered_run import plain, run

from runtime.metering import metered, original
from runtime.programs import identity

NAMES = [function.__name__ for function in metered_syntax.ALL]


@pytest.mark.parametrize("function", metered_syntax.ALL, ids=NAMES)
def test_a_metered_program_gives_what_it_gives_without_gas(function: Any) -> None:
    program = program_of(function)
    expected = plain(program)["result"]
    ended = run(program)
    assert (ended.how, ended.error) == ("returned", None)
    assert ended.heap["result"] == expected
    # What it shares with unmetered code goes on to work there.
    assert plain(program)["result"] == expected


@pytest.mark.parametrize("function", metered_syntax.ALL, ids=NAMES)
def test_every_gas_that_is_not_enough_ends_it_and_just_enough_does_not(function: Any) -> None:
    program = program_of(function)
    whole = run(program)
    for gas in range(whole.used):
        ended = run(program, gas)
        assert (ended.how, ended.used) == ("out of gas", gas), gas
    enough = run(program, whole.used)
    assert (enough.how, enough.used, enough.heap["result"]) == ("returned", whole.used, whole.heap["result"])


def test_the_corpus_has_every_statement_and_expression() -> None:
    with open(metered_syntax.__file__) as file:
        used = {type(node) for node in ast.walk(ast.parse(file.read()))}
    below = (ast.stmt, ast.expr, ast.pattern, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)
    every = {
        kind
        for kind in vars(ast).values()
        if isinstance(kind, type) and issubclass(kind, below) and kind not in below and kind.__module__ != "ast"
    }
    # Refused in metered code; and of no use in this language.
    assert {kind.__name__ for kind in every - used} <= {
        "Global",
        "MatMult",
        "TypeAlias",
        "Interpolation",
        "TemplateStr",
    }


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_programs_that_are_measured_give_what_they_give_without_gas(name: str) -> None:
    program, n = PROGRAMS[name]
    n = min(n, 50)
    ended = run(program, heap={"n": n})
    assert ended.heap["result"] == plain(program, {"n": n})["result"]


def test_a_variant_is_the_same_program_by_name_and_in_no_list() -> None:
    program, _ = PROGRAMS["fib"]
    variant = metered(program)
    assert variant is metered(program) is metered(variant)
    assert variant is not program
    assert identity(variant) == identity(program)
    assert original(variant) is program
    assert original(program) is program
    from actors.process import defined

    assert defined[program.__module__, program.__qualname__] is program
