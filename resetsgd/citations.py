"""Where formulas come from, as BibTeX.

Keys are first author, year; a passage time names its own in ``sources`` and prints them by
``cite()``. One entry a work, in the order of the alphabet.
"""

from __future__ import annotations

from collections.abc import Iterable

from resetsgd.errors import DomainError

__all__ = ["bibtex"]

_ENTRIES = {
    "evans2011": """\
@article{evans2011,
  author  = {Evans, Martin R. and Majumdar, Satya N.},
  title   = {Diffusion with Stochastic Resetting},
  journal = {Physical Review Letters},
  volume  = {106},
  pages   = {160601},
  year    = {2011},
  doi     = {10.1103/PhysRevLett.106.160601}
}""",
    "kusmierz2014": """\
@article{kusmierz2014,
  author  = {Kusmierz, Lukasz and Majumdar, Satya N. and Sabhapandit, Sanjib and Schehr, Gregory},
  title   = {First Order Transition for the Optimal Search Time of L{\\'e}vy Flights with
             Resetting},
  journal = {Physical Review Letters},
  volume  = {113},
  pages   = {220602},
  year    = {2014},
  doi     = {10.1103/PhysRevLett.113.220602}
}""",
    "pal2017": """\
@article{pal2017,
  author  = {Pal, Arnab and Reuveni, Shlomi},
  title   = {First Passage under Restart},
  journal = {Physical Review Letters},
  volume  = {118},
  pages   = {030603},
  year    = {2017},
  doi     = {10.1103/PhysRevLett.118.030603}
}""",
    "ray2019": """\
@article{ray2019,
  author  = {Ray, Somrita and Mondal, Debasish and Reuveni, Shlomi},
  title   = {P{\\'e}clet Number Governs Transition to Acceleratory Restart in Drift-Diffusion},
  journal = {Journal of Physics A: Mathematical and Theoretical},
  volume  = {52},
  pages   = {255002},
  year    = {2019},
  doi     = {10.1088/1751-8121/ab1fcc}
}""",
}


def bibtex(keys: Iterable[str]) -> str:
    """BibTeX entries, one after the other.

    Parameters
    ----------
    keys : iterable of str
        Keys such as ``"evans2011"``.

    Raises
    ------
    DomainError
        If a key is unknown.

    Examples
    --------
    >>> print(bibtex(["evans2011"]).splitlines()[0])
    @article{evans2011,
    """
    keys = list(keys)
    for key in keys:
        if key not in _ENTRIES:
            raise DomainError("keys", key, "one of " + ", ".join(sorted(_ENTRIES)))
    return "\n\n".join(_ENTRIES[key] for key in keys)
