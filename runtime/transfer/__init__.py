"""Export and import: the whole state behind one block as one stream, and a store made of it that goes on from there.

    stream     the format: the header, the chunks, the items in them; and what is said of a stream that is refused
    sender     a state → items
    receiver   items → the records of a new store, each checked before it is taken
    exports    the stream into a file
    imports    a file into a store; goes on where it was cut off

The stream is a function of the block alone: whatever the store, its history, the machine and the Python version, the same
block gives the same bytes. Whoever has the block's hash from somebody whom he trusts need trust nobody for the stream.
"""

from runtime.transfer.exports import export_block
from runtime.transfer.imports import import_block
from runtime.transfer.stream import StreamRefused, Transferred

__all__ = ["StreamRefused", "Transferred", "export_block", "import_block"]
