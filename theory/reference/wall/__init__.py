"""Drift-diffusion between a target and a reflecting wall, free and under resetting."""
