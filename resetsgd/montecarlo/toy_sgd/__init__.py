"""Toy SGD with label noise, for real: small learning problems trained by mini-batch SGD, in bulk.

``task`` says what a problem is and computes its losses and gradients in NumPy, ``problems`` are the
four that ship, ``options`` what a run can be told, ``api`` trains replicas by the thousand (the
kernels are ``kernels/sgd*.py``), ``result`` is what comes back.
"""
