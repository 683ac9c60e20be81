"""Real Ethereum blocks, executed on key-value state.

The example exists to give the actors a workload that nobody here made: mainnet's own transactions, with
answers that the chain wrote into its headers. PyPI's `ethereum-execution` interprets the byte code;
everything here is what lies between that package and a heap of plain values.

    interpreter   what replaces the slowest parts of the package's interpreter
    deep_stack    a thread that fits the deepest calls
    forks         which rules hold at which block; private copies of the package's fork modules
    transactions  a transaction as a plain tuple, and a fork's own
    state         the state of one activation: caches and an undo journal over the heap
    roots         the Merkle-Patricia root of the state in a heap
    fork_state    the functions that stand in for a fork's `state` module
    evm           execute a block's transactions; open and close a block
    genesis       mainnet's genesis and block 1, from the package's own assets
    packs         blocks recorded with the state that they touch
    signed        blocks of transactions that this example signs itself
    reference     the unmodified package, to compare against

and, for transactions that run side by side:

    encoding      RLP of plain values
    watched       a state that notes what a transaction observed and left
    effects       execute one transaction, and tell what it observed and did
    grouping      which transactions of a block are likely to get in each other's way
    merging       merge what groups of them did, in the block's order
    chain         the actors: in order, or in groups
    compare       both ways in turns, on recorded blocks

Imports run one way: a module imports only from ones that stand above it here (`encoding` stands above all).
"""
