"""Linear algebra of a few hundred unknowns on one thread of the processor.

A dense decomposition of that size is over in a fraction of a second on one thread. Shared among
all, its thousands of small steps each wait for the slowest thread, which on a machine that is busy
otherwise took up to a hundred times as long.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import Any

__all__ = ["one_thread"]


@lru_cache(maxsize=1)
def _controller() -> Any:
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:  # comes with scikit-learn; without it the numbers are the same
        return None
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[Any]:
    """A context in which the linear algebra of NumPy and SciPy keeps to one thread."""
    known = _controller()
    if known is None:
        return nullcontext()
    context: AbstractContextManager[Any] = known.limit(limits=1, user_api="blas")
    return context
