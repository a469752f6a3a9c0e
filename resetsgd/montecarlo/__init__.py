"""Monte Carlo: passage times simulated path by path, reproducible bit for bit.

``api`` validates and dispatches, ``table`` says what can be simulated, ``driver`` runs the kernels
on threads, ``streams`` keys the random numbers, ``kernels`` does the work.
"""
