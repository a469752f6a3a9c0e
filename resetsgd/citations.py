"""Where formulas come from, as BibTeX.

Keys are first author, year, and a word of the title where that is not enough; a passage time names
its own in ``sources`` and prints them by ``cite()``. One entry a work, in the order of the alphabet.
"""

from __future__ import annotations

from collections.abc import Iterable

from resetsgd.errors import DomainError

__all__ = ["bibtex"]

_ENTRIES = {
    "bae2025": """\
@article{bae2025,
  author  = {Bae, Youngkyoung and Song, Yeongwoo and Jeong, Hawoong},
  title   = {Stochastic Resetting Mitigates Latent Gradient Bias of {SGD} from Label Noise},
  journal = {Machine Learning: Science and Technology},
  volume  = {6},
  pages   = {015062},
  year    = {2025},
  eprint  = {2406.00396}
}""",
    "damian2021": """\
@inproceedings{damian2021,
  author    = {Damian, Alex and Ma, Tengyu and Lee, Jason D.},
  title     = {Label Noise {SGD} Provably Prefers Flat Global Minimizers},
  booktitle = {Advances in Neural Information Processing Systems},
  volume    = {34},
  year      = {2021},
  eprint    = {2106.06530}
}""",
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
    "evans2014": """\
@article{evans2014,
  author  = {Evans, Martin R. and Majumdar, Satya N.},
  title   = {Diffusion with Resetting in Arbitrary Spatial Dimension},
  journal = {Journal of Physics A: Mathematical and Theoretical},
  volume  = {47},
  pages   = {285001},
  year    = {2014},
  doi     = {10.1088/1751-8113/47/28/285001}
}""",
    "evans2018": """\
@article{evans2018,
  author  = {Evans, Martin R. and Majumdar, Satya N.},
  title   = {Run and Tumble Particle under Resetting: A Renewal Approach},
  journal = {Journal of Physics A: Mathematical and Theoretical},
  volume  = {51},
  pages   = {475003},
  year    = {2018},
  doi     = {10.1088/1751-8121/aae74e}
}""",
    "evans2020": """\
@article{evans2020,
  author  = {Evans, Martin R. and Majumdar, Satya N. and Schehr, Gr{\\'e}gory},
  title   = {Stochastic Resetting and Applications},
  journal = {Journal of Physics A: Mathematical and Theoretical},
  volume  = {53},
  pages   = {193001},
  year    = {2020},
  doi     = {10.1088/1751-8121/ab7cfe}
}""",
    "gardiner2004": """\
@book{gardiner2004,
  author    = {Gardiner, Crispin W.},
  title     = {Handbook of Stochastic Methods for Physics, Chemistry and the Natural Sciences},
  edition   = {3},
  publisher = {Springer},
  address   = {Berlin},
  year      = {2004}
}""",
    "keidar2024": """\
@misc{keidar2024,
  author = {Keidar, Tommer D. and Reuveni, Shlomi},
  title  = {Universal Linear Response of First-Passage Kinetics: A Framework for Prediction and
            Inference},
  year   = {2024},
  eprint = {2410.16129}
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
    "liu2023": """\
@misc{liu2023,
  author = {Liu, Chaoyue and Abedsoltan, Amirhesam and Belkin, Mikhail},
  title  = {On Emergence of Clean-Priority Learning in Early Stopped Neural Networks},
  year   = {2023},
  eprint = {2306.02533}
}""",
    "pal2015": """\
@article{pal2015,
  author  = {Pal, Arnab},
  title   = {Diffusion in a Potential Landscape with Stochastic Resetting},
  journal = {Physical Review E},
  volume  = {91},
  pages   = {012113},
  year    = {2015},
  doi     = {10.1103/PhysRevE.91.012113}
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
    "pal2019": """\
@article{pal2019,
  author  = {Pal, Arnab and Prasad, V. V.},
  title   = {First Passage under Stochastic Resetting in an Interval},
  journal = {Physical Review E},
  volume  = {99},
  pages   = {032123},
  year    = {2019},
  doi     = {10.1103/PhysRevE.99.032123}
}""",
    "pal2019landau": """\
@article{pal2019landau,
  author  = {Pal, Arnab and Prasad, V. V.},
  title   = {{Landau}-like Expansion for Phase Transitions in Stochastic Resetting},
  journal = {Physical Review Research},
  volume  = {1},
  pages   = {032001},
  year    = {2019},
  doi     = {10.1103/PhysRevResearch.1.032001},
  eprint  = {1904.07590}
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
    "ray2020": """\
@article{ray2020,
  author  = {Ray, Somrita and Reuveni, Shlomi},
  title   = {Diffusion with Resetting in a Logarithmic Potential},
  journal = {The Journal of Chemical Physics},
  volume  = {152},
  pages   = {234110},
  year    = {2020},
  doi     = {10.1063/5.0010549}
}""",
    "redner2001": """\
@book{redner2001,
  author    = {Redner, Sidney},
  title     = {A Guide to First-Passage Processes},
  publisher = {Cambridge University Press},
  year      = {2001},
  doi       = {10.1017/CBO9780511606014}
}""",
    "risken1989": """\
@book{risken1989,
  author    = {Risken, Hannes},
  title     = {The {Fokker}-{Planck} Equation: Methods of Solution and Applications},
  publisher = {Springer},
  edition   = {2},
  year      = {1989}
}""",
    "siegert1951": """\
@article{siegert1951,
  author  = {Siegert, Arnold J. F.},
  title   = {On the First Passage Time Probability Problem},
  journal = {Physical Review},
  volume  = {81},
  pages   = {617--623},
  year    = {1951},
  doi     = {10.1103/PhysRev.81.617}
}""",
    "siegmund1979": """\
@article{siegmund1979,
  author  = {Siegmund, David},
  title   = {Corrected Diffusion Approximations in Certain Random Walk Problems},
  journal = {Advances in Applied Probability},
  volume  = {11},
  pages   = {701--719},
  year    = {1979}
}""",
    "sparreandersen1953": """\
@article{sparreandersen1953,
  author  = {Sparre Andersen, Erik},
  title   = {On the Fluctuations of Sums of Random Variables},
  journal = {Mathematica Scandinavica},
  volume  = {1},
  pages   = {263--285},
  year    = {1953}
}""",
    "talfriedman2022": """\
@article{talfriedman2022,
  author  = {Tal-Friedman, Ofir and Roichman, Yael and Reuveni, Shlomi},
  title   = {Diffusion with Partial Resetting},
  journal = {Physical Review E},
  volume  = {106},
  pages   = {054116},
  year    = {2022},
  doi     = {10.1103/PhysRevE.106.054116}
}""",
    "weideman2007": """\
@article{weideman2007,
  author  = {Weideman, J. A. C. and Trefethen, L. N.},
  title   = {Parabolic and Hyperbolic Contours for Computing the {B}romwich Integral},
  journal = {Mathematics of Computation},
  volume  = {76},
  pages   = {1341--1356},
  year    = {2007},
  doi     = {10.1090/S0025-5718-07-01945-X}
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
