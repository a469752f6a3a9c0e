"""Monte Carlo: passage times simulated path by path, reproducible bit for bit.

``api`` validates and dispatches; ``table`` says what can be simulated and ``motions`` how each kind
of process moves, ``clock`` when resets fall due; ``functions`` compiles what users write;
``driver`` runs the kernels on threads, ``streams`` keys the random numbers, ``kernels`` does the
work.
"""
