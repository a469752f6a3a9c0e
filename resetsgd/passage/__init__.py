"""When it arrives: passage times, from closed forms, samples, and restarts of either."""
