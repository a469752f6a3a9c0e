"""Drift-diffusion to a point, free and under resetting."""
