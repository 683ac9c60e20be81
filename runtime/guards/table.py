"""What is guarded, by the name of the guard. The linter (runtime.lint.outside) looks for the same functions.

Names are those by which a program calls them. What a name of Python's library does by way of another that is here needs
no entry: `uuid.uuid4` is here, `Path.exists` is not, for it calls `os.stat`.
"""

from __future__ import annotations

import sys
import warnings
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from runtime.guards.fence import here

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: The guard that refuses a call with these arguments; None: it passes.
Choose: TypeAlias = "Callable[[tuple[Any, ...], dict[str, Any]], str | None]"


def _of(module: str, names: str) -> tuple[str, ...]:
    return tuple(f"{module}.{name}" for name in names.split())


#: Functions that are refused whatever their arguments.
FUNCTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "clock": _of(
        "time",
        "time time_ns monotonic monotonic_ns perf_counter perf_counter_ns process_time process_time_ns thread_time "
        "thread_time_ns clock_gettime clock_gettime_ns sleep",
    ),
    "random": (
        *_of(
            "random",
            "random randint randrange choice choices shuffle sample uniform gauss normalvariate lognormvariate "
            "expovariate betavariate gammavariate triangular vonmisesvariate paretovariate weibullvariate getrandbits "
            "randbytes binomialvariate seed getstate setstate",
        ),
        *_of("secrets", "choice randbelow randbits token_bytes token_hex token_urlsafe"),
        *_of("uuid", "uuid1 uuid4 uuid6 uuid7 getnode"),
        *_of("os", "urandom getrandom"),
        *_of("ssl", "RAND_bytes"),
        *_of("numpy.random", "seed ranf sample"),
    ),
    "environment": (
        *_of(
            "os",
            "getenv getenvb getpid getppid getcwd getcwdb cpu_count process_cpu_count uname getlogin getuid geteuid getgid "
            "getegid sched_getaffinity getloadavg times get_terminal_size",
        ),
        *_of(
            "platform",
            "platform system node release version machine processor architecture uname libc_ver python_version "
            "python_implementation python_build python_compiler",
        ),
        *_of("resource", "getrusage getrlimit"),
        *_of("getpass", "getuser getpass"),
        *_of("socket", "gethostname getfqdn"),
        *_of("os", "putenv unsetenv"),
        *_of("time", "mktime tzset"),
    ),
    "locale": _of(
        "locale",
        "setlocale getlocale getdefaultlocale getpreferredencoding getencoding localeconv strcoll strxfrm format_string "
        "currency str atof atoi delocalize nl_langinfo",
    ),
    "files": (
        *_of("builtins", "open input"),
        *_of("io", "open_code"),
        *_of(
            "os",
            "open listdir scandir walk fwalk mkdir remove unlink rmdir rename replace link symlink readlink chmod chown lchown truncate "
            "ftruncate utime chdir fchdir chroot mkfifo mknod stat lstat fstat access statvfs fstatvfs pipe pipe2 openpty "
            "memfd_create sendfile copy_file_range getxattr setxattr listxattr removexattr umask",
        ),
        *_of("fcntl", "fcntl ioctl flock lockf"),
        "sqlite3.connect",
    ),
    "network": (
        *_of(
            "socket", "getaddrinfo gethostbyname gethostbyname_ex gethostbyaddr getnameinfo getservbyname sethostname"
        ),
        *_of("select", "select poll"),
    ),
    "subprocess": _of(
        "os", "system posix_spawn posix_spawnp fork forkpty execv execve kill killpg wait waitpid wait3 wait4 waitid"
    ),
    "threads": (
        *_of("_thread", "start_new_thread start_joinable_thread"),
        *_of("signal", "signal alarm setitimer pause sigwait raise_signal pthread_kill"),
    ),
    "interpreter": (
        *_of("os", "_exit abort nice"),
        *_of("sys", "setrecursionlimit set_int_max_str_digits setswitchinterval"),
        *_of("atexit", "register unregister"),
        *_of("resource", "setrlimit"),
        "importlib.reload",
    ),
}
#: Functions that libraries call for reasons of their own: refused where the program itself calls them.
DIRECT: Final[Mapping[str, tuple[str, ...]]] = {
    "identity": ("builtins.id",),
    "environment": (
        *_of("threading", "get_ident get_native_id current_thread main_thread active_count enumerate"),
        *_of("sys", "getsizeof getrefcount"),
    ),
    "interpreter": (
        *_of("gc", "disable enable set_threshold freeze unfreeze set_debug"),
        *_of("sys", "settrace setprofile"),
    ),
}


def _local_time(args: tuple[Any, ...], _: dict[str, Any]) -> str:
    return "environment" if args and args[0] is not None else "clock"


def _utc_time(args: tuple[Any, ...], _: dict[str, Any]) -> str | None:
    return None if args and args[0] is not None else "clock"


def _formatted_time(args: tuple[Any, ...], _: dict[str, Any]) -> str | None:
    return None if len(args) > 1 else "clock"


def _without_a_seed(args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    return "random" if all(one is None for one in (*args, *named.values())) else None


#: Functions of which it depends on the arguments.
CHOSEN: Final[Mapping[str, Choose]] = {
    "time.localtime": _local_time,
    "time.ctime": _local_time,
    "time.gmtime": _utc_time,
    "time.asctime": _utc_time,
    "time.strftime": _formatted_time,
    "numpy.random.default_rng": _without_a_seed,
}


def _for_good(_: tuple[Any, ...], __: dict[str, Any]) -> str | None:
    """Tell of what changes the filters of warnings: within `catch_warnings`, which works on a list of its own, it may."""
    return "interpreter" if warnings.filters is here.cell.filters else None


def _before_numpy(*version: int) -> Choose:
    """Tell of what is a context variable from a version of numpy on."""

    def choose(_: tuple[Any, ...], __: dict[str, Any]) -> str | None:
        major, minor, *_rest = sys.modules["numpy"].__version__.split(".")
        return "interpreter" if (int(major), int(minor)) < version else None

    return choose


#: Such of which libraries make use, and set it back: they depend on the arguments, and are refused where the program itself
#: calls them.
CHOSEN_DIRECT: Final[Mapping[str, Choose]] = {
    **dict.fromkeys(_of("warnings", "simplefilter filterwarnings resetwarnings"), _for_good),
    **dict.fromkeys(_of("numpy", "seterr seterrcall setbufsize"), _before_numpy(2, 0)),
    "numpy.set_printoptions": _before_numpy(2, 1),
}


def _unseeded(args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    """Tell of `Random.seed(self, a=None, version=2)`."""
    seed = args[1] if len(args) > 1 else named.get("a")
    return "random" if seed is None else None


#: Modules of Python's that ask for the identity of every object that they come by: they keep the function itself.
IDENTIFYING: Final = ("copy", "pprint")

#: Modules that draw `randbits` for a seed also where they are handed one, and replace it then.
SEEDING: Final = ("numpy.random.bit_generator",)

#: Methods of classes written in Python, by their class: the guard, or how it is chosen, and what the call is called.
METHODS: Final[Mapping[str, Mapping[str, tuple[str | Choose, str]]]] = {
    "random.Random": {"seed": (_unseeded, "random.Random() without a seed")},
    "random.SystemRandom": dict.fromkeys(("random", "getrandbits", "randbytes"), ("random", "random.SystemRandom()")),
    "os._Environ": dict.fromkeys(
        ("__getitem__", "__setitem__", "__delitem__", "__iter__", "__len__", "__repr__", "copy"),
        ("environment", "os.environ"),
    ),
    "socket.socket": {"__init__": ("network", "socket.socket()")},
    "subprocess.Popen": {"__init__": ("subprocess", "subprocess.Popen()")},
    "ctypes.CDLL": {"__init__": ("imports", "ctypes.CDLL()")},
    "threading.Thread": {"start": ("threads", "threading.Thread.start()")},
    "concurrent.futures.thread.ThreadPoolExecutor": {"submit": ("threads", "ThreadPoolExecutor.submit()")},
    "concurrent.futures.process.ProcessPoolExecutor": {"submit": ("subprocess", "ProcessPoolExecutor.submit()")},
    "multiprocessing.process.BaseProcess": {
        "__init__": ("subprocess", "multiprocessing.Process()"),
        "start": ("subprocess", "multiprocessing.Process.start()"),
    },
}


def _now(_: tuple[Any, ...], __: dict[str, Any]) -> str:
    return "clock"


def _always_local(_: tuple[Any, ...], __: dict[str, Any]) -> str:
    return "environment"


def _of_a_stamp(args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    """Tell of `datetime.fromtimestamp(timestamp, tz=None)`, without the class."""
    zone = args[1] if len(args) > 1 else named.get("tz")
    return "environment" if zone is None else None


def _to_a_zone(args: tuple[Any, ...], named: dict[str, Any]) -> str | None:
    """Tell of `datetime.astimezone(self, tz=None)`, which asks for the machine's zone also for a naive self."""
    zone = args[1] if len(args) > 1 else named.get("tz")
    return "environment" if zone is None or args[0].tzinfo is None else None


def _to_a_stamp(args: tuple[Any, ...], _: dict[str, Any]) -> str | None:
    """Tell of `datetime.timestamp(self)`."""
    return "environment" if args[0].tzinfo is None else None


#: Methods of the types of `datetime`, and how the guard is chosen; class methods first.
DATETIME_CLASS_METHODS: Final[Mapping[str, Mapping[str, Choose]]] = {
    "datetime": {"now": _now, "utcnow": _now, "fromtimestamp": _of_a_stamp},
    "date": {"today": _now, "fromtimestamp": _always_local},
}
DATETIME_METHODS: Final[Mapping[str, Choose]] = {"astimezone": _to_a_zone, "timestamp": _to_a_stamp}

#: The functions of a module that are bound to one generator for all.
GENERATORS: Final[Mapping[str, str]] = {"numpy.random": "_rand"}

#: Functions with which a program would reach for the event loop that runs it, where there is one. No guard to lift: what
#: comes of them cannot be awaited.
LOOP: Final = (
    *_of("asyncio.events", "get_running_loop get_event_loop _get_event_loop new_event_loop"),
    "asyncio.runners.run",
)
