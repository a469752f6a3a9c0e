"""Compiled loops: bare numbers and arrays in, a status out; they see numpy, numba and math only.

Rules of the house, each kept by a test: no ``fastmath``; every loop has a bound; no allocation and
no exception inside; the same source runs, slowly, under ``NUMBA_DISABLE_JIT=1``.
"""
