"""Bessel processes to a radius, free and under resetting."""
