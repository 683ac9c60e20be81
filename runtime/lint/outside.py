"""The outside: clocks, randomness, the machine, files, threads and event loops, by the names that they are called by."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Final

from runtime.guards.table import DIRECT, FUNCTIONS
from runtime.lint.rules import CLOCK, ENVIRONMENT, FOREIGN_AWAIT, OUTSIDE, RANDOM, THREADS

if TYPE_CHECKING:
    from runtime.lint.looking import Looking
    from runtime.lint.rules import Rule


def _of(module: str, names: str) -> frozenset[str]:
    return frozenset(f"{module}.{name}" for name in names.split())


#: What the guards refuse (runtime.guards), by the rule that finds it. Files, sockets and threads are not taken from there:
#: here whole modules of them are found, and the methods of paths, by what they are called on.
_GUARDED: Final[dict[str, Rule]] = {
    "clock": CLOCK,
    "random": RANDOM,
    "environment": ENVIRONMENT,
    "locale": ENVIRONMENT,
}
#: Found wherever they are named, called or handed on: `default_factory=time.time`.
_NAMED: Final[dict[str, Rule]] = {
    name: rule
    for rule, names in (
        *[(rule, (*FUNCTIONS[guard], *DIRECT.get(guard, ()))) for guard, rule in _GUARDED.items()],
        (CLOCK, _of("datetime", "datetime.now datetime.utcnow datetime.today date.today")),
        (RANDOM, ("random.SystemRandom", "secrets.SystemRandom")),
        (
            ENVIRONMENT,
            _of("os", "environ environb")
            | _of("sys", "argv _getframe executable orig_argv")
            | _of("socket", "gethostbyname getaddrinfo")
            | _of("multiprocessing", "cpu_count current_process")
            | _of("traceback", "format_exc format_exception format_stack format_tb print_exc extract_stack")
            | _of("os.path", "abspath realpath expanduser expandvars")
            | _of("tracemalloc", "get_traced_memory take_snapshot"),
        ),
        (
            OUTSIDE,
            _of("builtins", "open input")
            | _of("io", "open open_code")
            | _of("os", "system popen pipe fork stat lstat access _exit abort")
            | _of("os.path", "exists lexists isfile isdir islink getsize getmtime getctime getatime samefile ismount")
            | _of("sys", "stdin")
            | _of("pathlib", "Path.cwd Path.home"),
        ),
    )
    for name in names
}
#: Found where anything of the module is called.
_CALLED: Final[dict[str, Rule]] = {
    **dict.fromkeys(("secrets", "numpy.random"), RANDOM),
    **dict.fromkeys(("platform", "resource", "psutil"), ENVIRONMENT),
    **dict.fromkeys(
        (
            "shutil",
            "tempfile",
            "socket",
            "subprocess",
            "urllib.request",
            "http.client",
            "requests",
            "httpx",
            "aiohttp",
            "sqlite3",
            "fileinput",
            "smtplib",
            "ftplib",
            "select",
        ),
        OUTSIDE,
    ),
    **dict.fromkeys(("threading", "_thread", "multiprocessing", "concurrent.futures", "signal"), THREADS),
    **dict.fromkeys(("asyncio", "anyio", "trio", "curio"), FOREIGN_AWAIT),
}
#: Found where they are called, by the arguments that they are called with.
_UNSEEDED: Final = frozenset(
    {"random.Random"} | _of("numpy.random", "default_rng RandomState SeedSequence PCG64 MT19937 Philox SFC64")
)
_LOCAL_TIME: Final[dict[str, int]] = {
    "time.localtime": 0,
    "time.gmtime": 0,
    "time.ctime": 0,
    "time.asctime": 0,
    "time.strftime": 1,
}
#: Of os, what reads or writes files.
_FILES: Final = _of(
    "os",
    "open read write close remove unlink rename replace mkdir makedirs rmdir removedirs link symlink readlink chmod "
    "chown truncate utime execv execve spawnv kill wait waitpid",
)
#: Pure ones, in modules of which all else is not.
_PURE: Final = (
    _of("asyncio", "iscoroutine iscoroutinefunction isfuture")
    | _of("socket", "inet_aton inet_ntoa inet_pton inet_ntop htons htonl ntohs ntohl")
    | _of("secrets", "compare_digest")
    | _of("urllib.request", "Request")
    | _of("numpy.random", "Generator")
)
_FILE_METHODS: Final = frozenset({"read_text", "read_bytes", "write_text", "write_bytes"})
_PATH_METHODS: Final = _FILE_METHODS | frozenset(
    {
        "open",
        "exists",
        "is_file",
        "is_dir",
        "stat",
        "mkdir",
        "unlink",
        "touch",
        "resolve",
        "rename",
        "rmdir",
        "absolute",
    }
)


def look(node: ast.AST, at: Looking) -> None:
    """Report what this node asks of the outside."""
    if isinstance(node, (ast.Name, ast.Attribute)):
        if isinstance(node.ctx, ast.Load) and node not in at.names.annotations:
            rule = _NAMED.get(at.names.dotted(node) or "")
            if rule is not None:
                above = at.names.parent.get(node)
                called = isinstance(above, ast.Call) and above.func is node
                at.report(rule, above if called and above is not None else node)
    elif isinstance(node, ast.Call):
        rule = _rule_of_call(node, at)
        if rule is not None:
            at.report(rule, node)


def _rule_of_call(node: ast.Call, at: Looking) -> Rule | None:
    dotted = at.names.dotted(node.func)
    if dotted is None:
        return OUTSIDE if _is_path_method(node, at) else None
    if dotted in _NAMED or dotted in _PURE:
        return None
    given = bool(node.args or node.keywords) and not (
        len(node.args) == 1 and isinstance(node.args[0], ast.Constant) and node.args[0].value is None
    )
    if dotted in _UNSEEDED:
        return None if given else RANDOM
    if dotted in _LOCAL_TIME:
        if len(node.args) <= _LOCAL_TIME[dotted]:
            return CLOCK
        return ENVIRONMENT if dotted in ("time.localtime", "time.ctime") else None
    if dotted in ("datetime.datetime.fromtimestamp", "datetime.date.fromtimestamp", "time.mktime"):
        zone = len(node.args) > 1 or any(one.arg == "tz" for one in node.keywords)
        return None if zone else ENVIRONMENT
    if dotted in _FILES:
        return OUTSIDE
    last = dotted.rpartition(".")[2]
    if last.endswith(("error", "Error", "Exception", "Cancelled")) or last.isupper():
        return None
    module = dotted.rpartition(".")[0]
    while module:
        if module in _CALLED:
            return _CALLED[module]
        module = module.rpartition(".")[0]
    return None


def _is_path_method(node: ast.Call, at: Looking) -> bool:
    """Tell whether this asks a path for what is there: something that is made as one, or is called one."""
    if not isinstance(node.func, ast.Attribute):
        return False
    owner = node.func.value
    kind = at.kinds.of(owner)
    if kind is not None and kind.name == "path":
        return node.func.attr in _PATH_METHODS
    named = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
    joined = isinstance(owner, ast.BinOp) and isinstance(owner.op, ast.Div)
    return node.func.attr in _FILE_METHODS and (joined or "path" in named.lower() or "file" in named.lower())
