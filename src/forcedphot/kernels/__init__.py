"""Kernels: numba functions of arrays; no I/O, no configuration, no classes.

The source axis comes first; arrays are C-contiguous; sums are float64. Kernels release the GIL and
touch only their arguments, so that threads may share the work by splitting sources. Importing a
kernel module imports numba: import them where they are called. Each kernel has a slow and obvious
numpy twin in the tests.
"""
