"""The command that reads programs and runs nothing: `lint`."""

from pathlib import Path
from typing import Annotated, Final

import typer
from rich.text import Text

from actors.errors import InputError
from runtime.cli.failing import FAILED
from runtime.cli.parameters import AsJson, Debug
from runtime.cli.screen import Screen, counted, printable
from runtime.json_form import Json
from runtime.lint import Finding, files, lint_file

#: Below this the line of the source would say less than its cut.
_COLUMNS_MIN: Final = 60


def lint(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…", help="Python files, or directories with all that is below.", show_default=False
        ),
    ],
    everything: Annotated[
        bool, typer.Option("--all", help="Look at everything in a file, not only at what its programs can reach.")
    ] = False,
    as_json: AsJson = False,
    debug: Debug = False,
) -> None:
    """Find what may give other results from the same inputs; nothing is run.

    It reads what programs can reach in their file: their classes, and the functions, classes and variables named there.
    Files that programs import have none of their own: give them with --all. It exits with 1 where it finds something.

      lockstep lint squares.py
      lockstep lint shop/ --json | jq -r 'select(.code == "LS101").file'
      lockstep lint --all shop/prices.py

    A line that is right as it is says so, and why:

      cache[key] = found  # lockstep: ignore[LS302] the same whoever finds it first
    """
    screen = Screen(as_json)
    looked = with_findings = findings = programs = 0
    troubles = []
    there = {given: list(files(given)) for given in paths}
    troubles += [f"there is no Python file below {given}" for given, found in there.items() if not found]
    for path in dict.fromkeys(one for found in there.values() for one in found):
        try:
            seen = lint_file(path, everything=everything)
        except InputError as error:
            troubles.append(str(error))
            continue
        looked += 1
        programs += len(seen.programs)
        findings += len(seen.findings)
        with_findings += bool(seen.findings)
        for finding in seen.findings:
            if as_json:
                screen.json(_json(finding))
            else:
                _print(screen, finding)
    where = f"{counted(looked, 'file', 'files')} with {counted(programs, 'program', 'programs')}"
    if findings:
        screen.remark(f"{counted(findings, 'finding', 'findings')} in {with_findings:,} of {where}")
    elif looked:
        hint = "; --all looks at everything in a file" if not programs and not everything else ""
        screen.remark(f"nothing found in {where}{hint}")
    if troubles:
        raise InputError("\n".join(troubles))
    if findings:
        raise typer.Exit(FAILED)


def _json(finding: Finding) -> Json:
    rule = finding.rule
    return {
        "file": finding.file,
        "line": finding.line,
        "column": finding.column,
        "code": rule.code,
        "rule": rule.name,
        "what": finding.what,
        "reason": rule.reason,
        "mend": rule.mend,
        "source": finding.source,
    }


def _print(screen: Screen, finding: Finding) -> None:
    place, _, rest = str(finding).partition(f" {finding.rule.code} ")
    line = Text.assemble((printable(place), "bold"), " ", (finding.rule.code, "yellow"), " ", printable(rest))
    screen.line(line, cut=False)
    if screen.terminal and screen.out.width >= _COLUMNS_MIN:
        screen.line(Text(f"    {printable(finding.source.strip())}", style="dim"))
