"""Linear trap to a point, free and under resetting."""
