"""The story of training on noisy labels as a landscape."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from resetsgd import domain
from resetsgd.domain import RealLike
from resetsgd.landscapes.toy import Toy, along, scalar
from resetsgd.landscapes.toy import transverse as curved

__all__ = ["noisy_labels"]


def noisy_labels(
    noise_rate: RealLike = 0.4,
    clean: RealLike = 1.0,
    wrong: RealLike = 1.0,
    transverse: RealLike = (),
) -> Toy:
    r"""Training on noisy labels along the path from a checkpoint to the memorising minimum.

    The coordinate s counts the way: 0 at the early minimum of the wrong labels' loss, 1 at the
    clean minimum, 2 where the wrong labels are memorised. The training loss is the mixture
    :math:`U = (1 - \tau) R_c + \tau R_w` of the loss on the clean samples, which have been learned
    at s = 1 and stay so, :math:`R_c = c\,(1 - s)_+^2/2`, and on the wrong ones, which contradict
    the pattern until they are memorised, :math:`R_w = w \sin^2(\pi s/2)` between 0 and 2 (and its
    parabola outside).

    Parameters
    ----------
    noise_rate : float, default 0.4
        :math:`\tau`, share of wrong labels, in [0, 1).
    clean, wrong : float, default 1
        c (1/time) and w (length²/time), positive.
    transverse : array of shape (d - 1,), optional
        Curvatures of the further coordinates, 1/time, positive.

    Returns
    -------
    Toy
        Its ``parts`` are ``"clean"`` and ``"wrong"``, the losses R_c and R_w along s, and
        ``"drift"``, the velocity V(s) toward larger s.

    Raises
    ------
    DomainError
        If an argument is outside its range.

    Notes
    -----
    The drift along the path is :math:`V = (1 - \tau) g_c - \tau g_w` with the clean pull
    :math:`g_c = -R_c'` and the wrong push :math:`g_w = R_w'`. Above the noise rate
    :math:`\tau^* = 2c/(2c + \pi^2 w)` it changes its sign before the clean minimum, which then is
    the top of a barrier of the training loss between an early minimum and the memorising one:
    training leaves the good region on either side, and resetting brings it back. Below, it passes
    the clean minimum and goes on to memorise.

    **Source**: the decomposition of the gradient into clean and wrong parts follows Y. Bae, Y.
    Song, H. Jeong, Mach. Learn.: Sci. Technol. 6, 015062 (2025); the shapes of the two losses are
    ours, the simplest with that story.

    Examples
    --------
    >>> path = noisy_labels(noise_rate=0.4)
    >>> V = path.parts["drift"]
    >>> [bool(V(s) > 0) for s in (0.0, 0.9, 1.5)]
    [True, False, True]
    """
    tau = float(np.asarray(domain.within("noise_rate", scalar("noise_rate", noise_rate,
                positive=False), 0.0, 1.0, open_high=True)))  # fmt: skip
    c, w = scalar("clean", clean), scalar("wrong", wrong)
    half = 0.5 * math.pi

    def right(s: Any) -> Any:
        left = max(1.0 - s, 0.0)
        return 0.5 * c * left * left

    def contrary(s: Any) -> Any:
        inside = np.sin(half * min(max(s, 0.0), 2.0))
        beyond = half * (min(s, 0.0) + max(s - 2.0, 0.0))
        return w * (inside * inside + beyond * beyond)

    def line(s: Any) -> Any:
        return (1.0 - tau) * right(s) + tau * contrary(s)

    def slope(s: Any) -> Any:
        inside = half * np.sin(2.0 * half * min(max(s, 0.0), 2.0))
        beyond = 2.0 * half * half * (min(s, 0.0) + max(s - 2.0, 0.0))
        return -(1.0 - tau) * c * max(1.0 - s, 0.0) + tau * w * (inside + beyond)

    def drift(s: Any) -> Any:
        return -slope(s)

    minima, saddles = [2.0], []
    if tau > 2.0 * c / (2.0 * c + math.pi**2 * w):
        # Between 0, where the clean pull wins, and 1, where the wrong push does.
        low, high = 0.0, 1.0 - 1e-9
        for _ in range(80):
            middle = 0.5 * (low + high)
            low, high = (middle, high) if drift(middle) > 0.0 else (low, middle)
        minima, saddles = [low, 2.0], [1.0]
    parts = {"clean": right, "wrong": contrary, "drift": drift}
    return along("noisy_labels", line, slope, curved(transverse), minima, saddles, parts)
