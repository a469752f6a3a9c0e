"""From data to passage times and their parameters."""
