"""Every limit of the language in one place, related by arithmetic where they are related.

A limit is part of the contract: what is refused on one machine is refused on all of them, so none of these may depend
on memory, speed or Python's own limits. Sizes are of canonical encodings (see `actors.values` and `actors.keys`). What
is over one raises LimitExceeded, with the place and the mend, and has changed nothing.

What the worst costs that they allow: keys of 4 kB of which two part ways at every nibble (16 MB of keys in all) make a
path of 8,000 nodes. A block that changes the last of them takes 60 ms and writes 0.76 MB, a first read of it 0.1 s; in
a heap of 100,000 keys that are digests those are 1.2 ms and 0.4 kB. The cost grows with the length of such keys: at 100
bytes it is 2.3 ms and 17 kB. So whoever lets strangers choose long keys keeps them under a digest.
"""

from typing import Final

#: The longest encoded key, in bytes. Bounds the depth of a heap's tree: two levels a byte at the very worst, and as many
#: again for every region that was mounted within a region.
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

#: The most entries of one heap, mounted regions included; only mounting can come near it. All heaps of a state together
#: may have 2**16 times as many, less one: a node says in six bytes how many are below it (`actors.nodes`).
HEAP_ENTRIES_MAX: Final = 2**32

#: How deep the tree of processes may grow below the root.
PROCESS_DEPTH_MAX: Final = 128

#: The most system calls that one activation may make before it has to return.
JOURNAL_CALLS_MAX: Final = 1_000_000

#: A subtree of at most this many entries is one bucket node (see `actors.nodes`). Part of the format of roots.
BUCKET_ENTRIES_MAX: Final = 24

#: An encoded value of more bytes than this stands in a node of its own. Part of the format of roots.
INLINE_BYTES_MAX: Final = 256

#: The largest node record that a decoder reads: a blob of the largest value.
NODE_BYTES_MAX: Final = VALUE_BYTES_MAX + 64

#: How many read values a process's working set remembers before it forgets them all.
READ_CACHE_ENTRIES_MAX: Final = 16_384

#: So many entries that were written to a heap, and not folded into its tree, are copied to a fork of it as they are.
LAID_ENTRIES_MAX: Final = 128

#: The largest proof, in bytes: one of the largest value has room, with as much again for the nodes on the way to it.
PROOF_BYTES_MAX: Final = 2 * VALUE_BYTES_MAX

#: The most keys of one proof.
PROOF_KEYS_MAX: Final = 4_096

#: The most nodes of one proof: eight times what the longest key can lie below in one heap, two a byte.
PROOF_NODES_MAX: Final = 8 * 2 * KEY_BYTES_MAX

#: How many names of children an error lists.
NAMES_SHOWN_MAX: Final = 20

#: How many processes the kernel keeps at hand between blocks; beyond that it lets go of the idle ones.
RECORDS_KEPT_MAX: Final = 10_000

#: The largest WebAssembly module, in bytes; the most functions of one, bytes of one function, and locals of all functions
#: together. They bound what it takes to compile one (`actors.wasm`).
WASM_MODULE_BYTES_MAX: Final = 4 * 1024 * 1024
WASM_FUNCTIONS_MAX: Final = 32_768
WASM_FUNCTION_BYTES_MAX: Final = 256 * 1024
WASM_LOCALS_MAX: Final = 262_144
#: The most weight of a module: for each function its locals times its branches, those within loops counted once more for
#: each loop, and 16 for a call. One unit takes about a microsecond to compile, where without this bound 200 kB were found
#: that take minutes and 7 GB. QuickJS with asyncify, 1.2 MB, weighs 2,500,000.
WASM_WEIGHT_MAX: Final = 8_000_000

#: The most globals of a module that may change; all tables of one together, in elements; its memory, in bytes.
WASM_GLOBALS_MAX: Final = 256
WASM_TABLE_ELEMENTS_MAX: Final = 65_536
WASM_MEMORY_BYTES_MAX: Final = 256 * 1024 * 1024

#: The most system calls that wait to be performed until a module returns.
WASM_CALLS_PENDING_MAX: Final = 1_024

#: How much native stack a WebAssembly call may take, in bytes: half of what threads have, unless somebody says otherwise.
WASM_STACK_BYTES: Final = 4 * 1024 * 1024

#: How many compiled modules, and how many idle instances with how many bytes of memory, one OS process keeps at hand.
WASM_MODULES_KEPT_MAX: Final = 64
WASM_INSTANCES_KEPT_MAX: Final = 64
WASM_INSTANCE_BYTES_KEPT_MAX: Final = 256 * 1024 * 1024

#: How many messages an activation of an actor is given at most, and how many stand in one page of its letter.
MESSAGES_MAX: Final = 40

#: The largest message between actors, in bytes: a page of them is a value.
MESSAGE_BYTES_MAX: Final = VALUE_BYTES_MAX // (MESSAGES_MAX + 8)

#: The longest address of an actor, in bytes of its form as a key, and the most names of one. An office has keys that hold an
#: actor's name or address, and words and a number beside it.
ADDRESS_BYTES_MAX: Final = KEY_BYTES_MAX // 2
ADDRESS_NAMES_MAX: Final = KEY_ELEMENTS_MAX - 4

#: How many dead letters an office keeps: the last ones.
DEAD_LETTERS_MAX: Final = 1_000
