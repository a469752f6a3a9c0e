"""When it resets: protocols as frozen, validated values.

A protocol is the law of the waiting time R between resets. It never knows a process: all it asks of
a passage time is the :class:`Clocked` interface, and all it gives back is the :class:`Trial`
between two resets, from which :mod:`resetsgd.passage.restart` builds the restarted passage time.
"""
