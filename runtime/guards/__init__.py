"""The guards at work: while a process is being stepped, what reaches outside of it is refused (names: actors.guards).

    fence      which program is being stepped in this thread; everywhere else, everything passes
    table      what is guarded: functions and methods
    wrapping   puts something in place of functions and methods that asks the fence first, wherever they are known
    types      the same for `datetime` and `date`, in which nothing can be replaced by an assignment
    importlib_bootstrap   the same for `import`
    callers    looks who calls: the program, the machine, or Python itself for people's sake; and makes the error

All of it is installed once in an OS process, when the first process is about to be stepped. It stands between mistakes and
a state that nobody can make again; it is no security boundary. What it does not see: files and sockets that were opened
before, attributes that are no calls (`sys.argv`), and extension modules that ask the operating system by themselves
(`numpy.random.RandomState()` among them).

Not by an audit hook, though CPython audits much of this: a hook in Python is called for every event of the whole process,
and `id()` is one, so that its mere presence makes every `copy.deepcopy` take twice as long.
"""

from runtime.guards.fence import here
from runtime.guards.installing import install

__all__ = ["here", "install"]
