"""The dictionary between SGD on noisy labels and a drifting, diffusing particle."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.passage.base import PassageTime
from resetsgd.passage.first_passage import first_passage
from resetsgd.processes import DriftDiffusion

__all__ = ["BARRIER_SHIFT", "Direction", "drift_diffusion", "variance_factor"]

BARRIER_SHIFT = 0.5825971579390107
"""-zeta(1/2)/sqrt(2 pi): by so many standard deviations of a step does a walk overshoot."""


@dataclass(frozen=True, eq=False)
class Direction:
    r"""SGD along the direction from a checkpoint to a target, as a diffusion.

    Made by :func:`drift_diffusion`. The position along the direction is 0 at the checkpoint and
    rises toward the target.

    Attributes
    ----------
    velocity : float or ndarray
        Drift toward the target, length/time; negative where training leads away.
    diffusivity : float or ndarray
        Length²/time.
    gain : float or ndarray
        Slope downhill toward the target, loss/length: velocity = learning rate gain/(1-momentum).
    variance : float or ndarray
        Variance of the gradient of one sample along the direction, (loss/length)².
    step : float or ndarray
        Standard deviation of an optimizer step, length; at long times with momentum.
    time_step : float or ndarray
        Time of an optimizer step: 1 (``time="steps"``) or the learning rate (``time="flow"``).
    """

    velocity: Real
    diffusivity: Real
    gain: Real
    variance: Real
    time_step: Real
    learning_rate: Real
    batch_size: Real
    noise_rate: Real
    momentum: Real
    samples: float
    _slopes: tuple[Any, Any, Any]
    _variances: tuple[Any, Any, Any]

    @property
    def process(self) -> DriftDiffusion:
        """The drifting, diffusing particle; its position rises toward the target."""
        return DriftDiffusion(drift=self.velocity, diffusivity=self.diffusivity)

    @property
    def step(self) -> Real:
        """Standard deviation of an optimizer step, length."""
        return domain.plain(np.sqrt(2.0 * np.asarray(self.diffusivity) * self.time_step))

    def peclet(self, distance: RealLike) -> Real:
        """Péclet number V L/(2 D); Poisson resetting pays below 1, sharp resetting below 2.

        Parameters
        ----------
        distance : float or array
            L, from the checkpoint to the target, length.
        """
        gap = np.asarray(domain.positive("distance", distance))
        return domain.plain(np.asarray(self.velocity) / self.diffusivity * (0.5 * gap))

    def passage_time(self, distance: RealLike, *, corrected: bool = False) -> PassageTime:
        """Return the reset-free passage time from the checkpoint to the target.

        Parameters
        ----------
        distance : float or array
            L, length.
        corrected : bool, default False
            Whether the target is moved away by ``BARRIER_SHIFT`` steps, for a passage that is seen
            at whole steps only. Without the correction the mean is too short by a relative error
            of order step/L, with it by one of order (step/L)². For Gaussian steps, no momentum.
        """
        gap = np.asarray(domain.positive("distance", distance))
        if corrected:
            if np.any(np.asarray(self.momentum) != 0):
                raise DomainError("corrected", corrected, "False with momentum: steps remember")
            gap = gap + BARRIER_SHIFT * np.asarray(self.step)
        return first_passage(self.process, start=0.0, target=domain.plain(gap))

    @property
    def critical_noise_rate(self) -> Real:
        """Noise rate from which on training leads away from the target.

        (g_c - w)/(g_c + g_w) with g_c the pull of clean samples toward the target, g_w that of
        mislabelled ones away from it, w that of weight decay. 0 where even clean labels lead away,
        ``inf`` where no noise rate does.
        """
        clean, noisy, decay = (np.asarray(a, dtype=np.float64) for a in self._slopes)
        start, end = clean + decay, noisy + decay
        with np.errstate(all="ignore"):
            root = start / (start - end)
        value = np.where(start <= 0, 0.0, np.where(end >= 0, np.inf, root))
        value = np.where((start > 0) & (end == 0), 1.0, value)
        return domain.plain(value)

    def critical_batch_size(self, distance: RealLike) -> Real:
        """Batch size from which on Poisson resetting no longer pays: where the Péclet number is 1.

        ``inf`` where training leads away: resetting pays whatever the batch size, and the more the
        larger it is.
        """
        gap = np.asarray(domain.positive("distance", distance))
        pull, spare = np.asarray(self.gain), 1.0 - np.asarray(self.momentum)
        with np.errstate(all="ignore"):
            batch = self.learning_rate * np.asarray(self.variance) / (gap * pull * spare)
            if np.isfinite(self.samples):  # drawn without replacement: (1/B)(N-B)/(N-1)
                batch = self.samples * batch / (self.samples - 1.0 + batch)
        return domain.plain(np.where(pull > 0, batch, np.inf))

    def critical_learning_rate(self, distance: RealLike) -> Real:
        """Learning rate above which Poisson resetting pays; 0 where training leads away."""
        gap = np.asarray(domain.positive("distance", distance))
        pull, spare = np.asarray(self.gain), 1.0 - np.asarray(self.momentum)
        noise = np.asarray(self.variance) / self.batch_size * _finite(self.samples, self.batch_size)
        with np.errstate(all="ignore"):
            return domain.plain(np.where(pull > 0, gap * pull * spare / noise, 0.0))

    def critical_resetting_noise_rate(self, distance: RealLike) -> Real:
        """Smallest noise rate from which on Poisson resetting pays; ``inf`` if none does.

        The noise rate enters the Péclet number twice: it turns the drift, and it adds diffusion
        along the difference of the two gradients.
        """
        gap = np.asarray(domain.positive("distance", distance))
        clean, noisy, decay = (np.asarray(a, dtype=np.float64) for a in self._slopes)
        own, other, between = (np.asarray(a, dtype=np.float64) for a in self._variances)
        factor = gap * self.batch_size * (1.0 - np.asarray(self.momentum)) / self.learning_rate
        factor = factor / _finite(self.samples, self.batch_size)
        # factor ((1-t) clean + t noisy + decay) - ((1-t) own + t other + t (1-t) between) = 0
        c = factor * (clean + decay) - own
        b = factor * (noisy - clean) - (other - own) - between
        a = between
        with np.errstate(all="ignore"):
            root = np.sqrt(b * b - 4.0 * a * c)
            twice = -(b + np.copysign(root, b))
            roots = np.stack([2.0 * c / twice, twice / (2.0 * a)])
        roots = np.where((roots >= 0) & (roots <= 1), roots, np.inf)
        return domain.plain(np.where(c <= 0, 0.0, np.min(roots, axis=0)))


def _finite(samples: float, batch_size: Any) -> Any:
    """(N-B)/(N-1): the noise that is left when batches are drawn without replacement."""
    if np.isinf(samples):
        return 1.0
    return (samples - np.asarray(batch_size)) / (samples - 1.0)


def drift_diffusion(
    clean_gradient: npt.ArrayLike,
    noisy_gradient: npt.ArrayLike,
    noise_rate: RealLike,
    *,
    clean_covariance: npt.ArrayLike,
    learning_rate: RealLike,
    batch_size: RealLike,
    noisy_covariance: npt.ArrayLike | None = None,
    direction: npt.ArrayLike | None = None,
    momentum: RealLike = 0.0,
    weight_decay: RealLike = 0.0,
    position: npt.ArrayLike | None = None,
    samples: int | None = None,
    time: str = "steps",
) -> Direction:
    r"""Translate the statistics of gradients into drift and diffusion along a direction.

    With noise rate :math:`\tau`, the gradient of a sample has the mean
    :math:`(1-\tau) g_c + \tau g_w` and the covariance :math:`(1-\tau) \Sigma_c + \tau \Sigma_w +
    \tau(1-\tau) \Delta \Delta^T`, :math:`\Delta = g_c - g_w`: label noise turns the drift and adds
    diffusion. Along a unit vector u toward the target a step of SGD has the mean V and the variance
    2 D,

    .. math:: V = -\frac{\eta}{1-\beta}\, u \cdot [(1-\tau) g_c + \tau g_w + \omega \theta], \qquad
              D = \frac{\eta^2}{2 B (1-\beta)^2}\, u^T \Sigma u ,

    with momentum at times long against 1/(1-beta) steps. In "flow" time, eta per step, both are
    divided by eta.

    Parameters
    ----------
    clean_gradient, noisy_gradient : float or array (d,)
        Mean gradient of clean and of mislabelled samples at the checkpoint, loss/length. A number
        is the component along the direction.
    noise_rate : float or array
        Fraction of mislabelled samples, in [0, 1].
    clean_covariance, noisy_covariance : float, array (d,) or (d, d)
        Covariance of the gradient of one sample within each group; a number is a multiple of the
        identity, a vector a diagonal. The second defaults to the first.
    learning_rate : float or array
        :math:`\eta`, length²/loss. Positive.
    batch_size : float or array
        B, at least 1.
    direction : array (d,), optional
        From the checkpoint to the target, of any length; needed where gradients are vectors.
        For numbers, the direction in which positions rise.
    momentum : float or array, default 0
        Heavy-ball :math:`\beta` in [0, 1).
    weight_decay : float or array, default 0
        :math:`\omega`, added to the gradient as :math:`\omega \theta` (L2), loss/length².
    position : float or array (d,), optional
        :math:`\theta` at the checkpoint; needed with weight decay.
    samples : int, optional
        Size N of the training set, if batches are drawn without replacement: the noise is then
        smaller by (N-B)/(N-1).
    time : {"steps", "flow"}
        Unit of time: optimizer steps, or :math:`\eta` per step.

    Returns
    -------
    Direction
        With ``velocity``, ``diffusivity``, ``process``, ``peclet(distance)``, ``passage_time`` and
        the critical noise rate, batch size and learning rate.

    Raises
    ------
    DomainError
        If a value is outside its range, shapes do not fit, or there is no noise at all.

    Notes
    -----
    Orders: V and D are those of the exact mean and variance of a step at the checkpoint (momentum:
    up to corrections of order 1/(n (1-beta)) after n steps); a passage time made from them is
    short by a relative error of order step/L (see ``passage_time``), and errs by the change of V
    and D between checkpoint and target.

    **Source**: Y. Bae, Y. Song, H. Jeong, MLST 6, 015062 (2025), for the picture; barrier shift: D.
    Siegmund, Adv. Appl. Prob. 11, 701 (1979). Derived in ``theory/16_latent_bias.py``.

    Examples
    --------
    >>> along = drift_diffusion(-1.0, 1.0, 0.25, clean_covariance=4.0, learning_rate=0.1,
    ...                         batch_size=32)
    >>> along.velocity, along.critical_noise_rate
    (0.05, 0.5)
    """
    clean = np.asarray(domain.finite("clean_gradient", clean_gradient))
    noisy = np.asarray(domain.finite("noisy_gradient", noisy_gradient))
    tau = np.asarray(domain.probability("noise_rate", noise_rate))
    eta = np.asarray(domain.positive("learning_rate", learning_rate))
    batch = np.asarray(domain.within("batch_size", batch_size, 1.0, np.inf, open_high=True))
    beta = np.asarray(domain.within("momentum", momentum, 0.0, 1.0, open_high=True))
    decay = np.asarray(domain.nonnegative("weight_decay", weight_decay))
    domain.choice("time", time, ("steps", "flow"))
    domain.broadcast(noise_rate=tau, learning_rate=eta, batch_size=batch, momentum=beta)
    size = np.inf if samples is None else float(domain.integer("samples", samples, 2))
    if np.any(batch >= size):
        raise DomainError("batch_size", batch_size, f"below the number of samples {samples}")
    unit = _unit(direction, clean, noisy)
    place = 0.0 if position is None else _along("position", position, unit)
    if position is None and np.any(decay > 0):
        raise DomainError("position", position, "given, for weight decay pulls toward the origin")
    slopes = (-_along("clean_gradient", clean, unit), -_along("noisy_gradient", noisy, unit))
    own = _spread("clean_covariance", clean_covariance, unit)
    other = own
    if noisy_covariance is not None:
        other = _spread("noisy_covariance", noisy_covariance, unit)
    pull = -decay * place
    gain = (1.0 - tau) * slopes[0] + tau * slopes[1] + pull
    between = (slopes[0] - slopes[1]) ** 2
    variance = (1.0 - tau) * own + tau * other + tau * (1.0 - tau) * between
    if np.any(variance <= 0):
        raise DomainError("clean_covariance", clean_covariance, "positive along the direction")
    tick = np.ones(()) if time == "steps" else eta
    lever = eta / (1.0 - beta)
    with np.errstate(over="ignore", under="ignore"):
        velocity = lever * gain / tick
        diffusivity = 0.5 * lever**2 * variance / batch * _finite(size, batch) / tick
    return Direction(
        velocity=domain.plain(velocity + 0.0),
        diffusivity=domain.plain(diffusivity),
        gain=domain.plain(gain),
        variance=domain.plain(variance),
        time_step=domain.plain(tick),
        learning_rate=domain.plain(eta),
        batch_size=domain.plain(batch),
        noise_rate=domain.plain(tau),
        momentum=domain.plain(beta),
        samples=size,
        _slopes=(*slopes, pull),
        _variances=(own, other, between),
    )


def _unit(direction: Any, *gradients: Any) -> Any:
    """The unit vector, or the sign along a line."""
    vectors = [g for g in gradients if np.ndim(g)]
    if direction is None:
        if vectors:
            raise DomainError("direction", direction, "given, for the gradients are vectors")
        return np.ones(())
    vector = np.asarray(domain.finite("direction", direction))
    if vector.ndim > 1 or any(g.shape != vector.shape for g in gradients):
        raise DomainError("direction", vector.shape, "of the shape of the gradients")
    largest = float(np.max(np.abs(vector), initial=0.0))
    if largest == 0:
        raise DomainError("direction", direction, "different from zero")
    vector = vector / largest
    return vector / np.sqrt(np.sum(vector * vector))


def _along(name: str, value: Any, unit: Any) -> Any:
    """Component along the direction."""
    vector = np.asarray(domain.finite(name, value))
    if vector.shape != unit.shape:
        raise DomainError(name, vector.shape, f"of shape {unit.shape}, as the direction is")
    return np.sum(vector * unit)


def _spread(name: str, value: Any, unit: Any) -> Any:
    """Variance along the direction."""
    covariance = np.asarray(domain.finite(name, value))
    if covariance.ndim == 0:
        spread = covariance
    elif covariance.shape == unit.shape:
        spread = np.sum(covariance * unit * unit)
    elif covariance.shape == (*unit.shape, *unit.shape):
        spread = unit @ covariance @ unit
    else:
        allowed = f"a number, or of shape {unit.shape} or {(*unit.shape, *unit.shape)}"
        raise DomainError(name, covariance.shape, allowed)
    if spread < 0:
        raise DomainError(name, value, "zero or positive along the direction")
    return spread


def variance_factor(curvature: RealLike, learning_rate: RealLike, momentum: RealLike = 0.0) -> Real:
    r"""Stationary variance of SGD in a bowl over that of the diffusion, 1/(1 - eta h/2) and more.

    Parameters
    ----------
    curvature : float or array
        h, zero or positive, loss/length².
    learning_rate : float or array
        :math:`\eta`, length²/loss.
    momentum : float or array, default 0
        Heavy-ball :math:`\beta`: the factor is :math:`1/(1 - \eta h/(2 (1 + \beta)))`.

    Returns
    -------
    float or ndarray
        At least 1.

    Raises
    ------
    DomainError
        If SGD diverges: eta h >= 2 (1 + beta).

    Notes
    -----
    Exact for additive noise. **Source**: S. Mandt, M. D. Hoffman, D. M. Blei, JMLR 18, 134 (2017);
    derived in ``theory/11_stationary_states.py``.

    Examples
    --------
    >>> variance_factor(1.0, 1.0)
    2.0
    """
    h = np.asarray(domain.nonnegative("curvature", curvature))
    eta = np.asarray(domain.positive("learning_rate", learning_rate))
    beta = np.asarray(domain.within("momentum", momentum, 0.0, 1.0, open_high=True))
    domain.broadcast(curvature=h, learning_rate=eta, momentum=beta)
    with np.errstate(over="ignore"):
        share = eta * h / (2.0 * (1.0 + beta))
    if np.any(share >= 1):
        raise DomainError("learning_rate", learning_rate, "below 2 (1 + momentum)/curvature")
    return domain.plain(1.0 / (1.0 - share))
