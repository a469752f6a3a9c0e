"""Run and tumble to a point and out of an interval, free and under resetting."""
