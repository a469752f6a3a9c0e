"""Simulation on a CUDA device: one thread a path, the numbers of the CPU up to rounding.

Loaded only where ``device="cuda"`` is asked for. ``device`` finds the device, ``kernels`` holds
what runs on it, ``jobs`` turns a motion into a kernel with its numbers, ``launch`` runs it.
"""
