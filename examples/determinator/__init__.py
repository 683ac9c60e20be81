"""The seven benchmarks of Determinator (Aviram and others, OSDI 2010), each as a program that a user might write.

    md5                      search for the number that has a given MD5
    matmul                   multiply two matrices
    quicksort                recursively, side by side down to a depth
    blackscholes             the price of many options
    fft                      one long transform
    lu, lu_scattered         LU decomposition, of a matrix kept in blocks, and in bands of rows in which a block lies scattered

Each module has the work itself, and three forms of it: a plain loop, one on a bare `ProcessPoolExecutor`, and one of
processes. Into how many parts the work is cut follows from the problem alone, never from the number of workers; so the
results of the last two are equal to the bit, wherever what ran. That holds for BLAS as well where it has one thread, which
is what the first lines below see to: what it adds in which order depends on how many it has.

`python -m examples.determinator` runs and compares them.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
