"""resetsgd: stochastic gradient descent as a diffusion with stochastic resetting."""

__version__ = "0.1.0.dev0"
