"""Every limit of the language in one place, related by arithmetic where they are related.

A limit is part of the contract: what is refused on one machine is refused on all of them, so none of these may depend
on memory, speed or Python's own limits. Sizes are of canonical encodings (see `actors.values` and `actors.keys`).
"""

from typing import Final

#: The longest encoded key, in bytes. Bounds the depth of a heap's tree: two levels a byte at the very worst.
KEY_BYTES_MAX: Final = 4_096

#: The most elements of one key.
KEY_ELEMENTS_MAX: Final = 64

#: The largest magnitude of an int in a key, in bytes: the order-preserving form keeps its length in one byte.
KEY_INT_BYTES_MAX: Final = 255

#: The largest encoded value, in bytes.
VALUE_BYTES_MAX: Final = 16 * 1024 * 1024 + 1024

#: How deep tuples, vectors, maps and sets may be nested in one value.
VALUE_DEPTH_MAX: Final = 64

#: The largest int in a value, in bytes of two's complement.
VALUE_INT_BYTES_MAX: Final = VALUE_BYTES_MAX // 16

#: The most entries of one heap, mounted regions included; only mounting can come near it.
HEAP_ENTRIES_MAX: Final = 2**48

#: How deep the tree of processes may grow below the root.
PROCESS_DEPTH_MAX: Final = 128

#: The most system calls that one activation may make before it has to return.
JOURNAL_CALLS_MAX: Final = 1_000_000

#: A subtree of at most this many entries is one bucket node (see `actors.nodes`). Part of the format of roots.
BUCKET_ENTRIES_MAX: Final = 8

#: An encoded value of more bytes than this stands in a node of its own. Part of the format of roots.
INLINE_BYTES_MAX: Final = 256

#: The largest node record that a decoder reads: a blob of the largest value.
NODE_BYTES_MAX: Final = VALUE_BYTES_MAX + 64

#: How many read values a process's working set remembers before it forgets them all.
READ_CACHE_ENTRIES_MAX: Final = 16_384

#: How many names of children an error lists.
NAMES_SHOWN_MAX: Final = 20

#: How many processes the kernel keeps at hand between blocks; beyond that it lets go of the idle ones.
RECORDS_KEPT_MAX: Final = 10_000
