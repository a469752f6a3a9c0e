"""How each kind of process moves: from the user's objects to a kernel's numbers, one file each."""
