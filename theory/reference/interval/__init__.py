"""Drift-diffusion out of an interval, free and under resetting."""
