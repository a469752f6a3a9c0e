"""Linear regression on noisy labels under gradient flow: its U-curve, and what resets do to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from resetsgd import domain
from resetsgd.domain import QUIET, Array, Real, RealLike
from resetsgd.errors import DomainError
from resetsgd.protocols import Poisson, Protocol, Sharp
from resetsgd.sgd.minima import Minimum, minima
from resetsgd.sgd.regression_resets import ResetAdvice, best_rate, poisson_risk, sharp_risk
from resetsgd.steady.age_law import ages_of

__all__ = ["Regression"]


class Regression:
    r"""Linear regression with label noise, trained by gradient flow, averaged over the noise.

    The loss is :math:`|X\theta - y|^2/2n`, the labels are :math:`y = X\theta^* + \epsilon`. In the
    eigenbasis of :math:`X^T X/n` the distance to the truth is at time t
    :math:`a_i e^{-\lambda_i t}` plus noise of variance :math:`v_i (1 - e^{-\lambda_i t})^2`,
    :math:`v_i = \sigma^2/n\lambda_i`: the first falls, the second rises, the risk is U-shaped.

    Parameters
    ----------
    eigenvalues : float or array (d,)
        :math:`\lambda_i >= 0` of :math:`X^T X/n`.
    signal : float or array (d,)
        :math:`a_i`, start minus truth in the eigenbasis.
    noise_variance : float
        :math:`\sigma^2` of a label. Zero or positive.
    samples : int
        n.
    test_covariance : array (d,) or (d, d), optional
        Covariance of test inputs in the eigenbasis; default: that of training, the eigenvalues. It
        weights the risk :math:`E (\theta - \theta^*)^T S (\theta - \theta^*)`, the error of a test
        prediction beyond its label's own noise; it does not enter the flow.

    Raises
    ------
    DomainError
        If a value is outside its range or shapes do not fit.

    Notes
    -----
    Sums of positive terms without cancellation: relative error a few epsilons.

    **Source**: early stopping as in Y. Yao, L. Rosasco, A. Caponnetto, Constr. Approx. 26, 289
    (2007); resetting derived in ``theory/13_label_noise_regression.py``.

    Examples
    --------
    >>> one = Regression(eigenvalues=1.0, signal=2.0, noise_variance=10.0, samples=10)
    >>> best = one.best_checkpoint()
    >>> round(best.at, 6), round(best.loss, 6)
    (1.609438, 0.8)
    """

    sources = ("damian2021", "liu2023")
    derivation = "theory/13_label_noise_regression.py"

    def __init__(
        self,
        eigenvalues: npt.ArrayLike,
        signal: npt.ArrayLike,
        noise_variance: float,
        samples: int,
        test_covariance: npt.ArrayLike | None = None,
    ) -> None:
        rates = np.atleast_1d(np.asarray(domain.nonnegative("eigenvalues", eigenvalues)))
        gap = np.atleast_1d(np.asarray(domain.finite("signal", signal)))
        if rates.ndim != 1 or gap.shape not in ((1,), rates.shape):
            raise DomainError("signal", gap.shape, f"of shape {rates.shape}, as the eigenvalues")
        noise = np.asarray(domain.nonnegative("noise_variance", noise_variance))
        if noise.ndim:
            raise DomainError("noise_variance", noise_variance, "a single number")
        self.samples = domain.integer("samples", samples, 1)
        self.eigenvalues, self.noise_variance = rates, float(noise)
        self.signal = np.broadcast_to(gap, rates.shape)
        weight = rates
        if test_covariance is not None:
            weight = np.asarray(domain.finite("test_covariance", test_covariance))
        if weight.shape not in (rates.shape, 2 * rates.shape):
            allowed = f"of shape {rates.shape} or {2 * rates.shape}"
            raise DomainError("test_covariance", weight.shape, allowed)
        self._full = weight if weight.ndim == 2 else None
        self._weight = weight if weight.ndim == 1 else np.diagonal(weight)
        if (self._weight < 0).any():
            raise DomainError("test_covariance", test_covariance, "positive semidefinite")
        if self._full is not None and not np.allclose(self._full, self._full.T, rtol=1e-10):
            raise DomainError("test_covariance", "a matrix", "symmetric")
        # variance of the noise in X^T epsilon/n over the eigenvalue
        self._drive = self.noise_variance / self.samples

    @classmethod
    def from_data(
        cls,
        inputs: npt.ArrayLike,
        truth: npt.ArrayLike,
        noise_variance: float,
        *,
        start: npt.ArrayLike | None = None,
        test_covariance: npt.ArrayLike | None = None,
    ) -> Regression:
        """Regression of given inputs.

        Parameters
        ----------
        inputs : array (n, d)
            X, one sample a row.
        truth : array (d,)
            The weights that made the clean labels.
        noise_variance : float
            Variance of a label.
        start : array (d,), optional
            Weights at time 0; default zero.
        test_covariance : array (d, d), optional
            Of test inputs, in the coordinates of ``inputs``; default that of the training inputs.
        """
        x = np.asarray(domain.finite("inputs", inputs))
        theta = np.asarray(domain.finite("truth", truth))
        if x.ndim != 2 or theta.shape != x.shape[1:]:
            raise DomainError("inputs, truth", (x.shape, theta.shape), "of shapes (n, d) and (d,)")
        first = np.zeros_like(theta) if start is None else np.asarray(domain.finite("start", start))
        if first.shape != theta.shape:
            raise DomainError("start", first.shape, f"of shape {theta.shape}")
        rates, basis = np.linalg.eigh(x.T @ x / len(x))
        rates = np.where(rates < 8 * len(rates) * 2.3e-16 * rates[-1], 0.0, rates)
        weight = None
        if test_covariance is not None:
            weight = basis.T @ np.asarray(domain.finite("test_covariance", test_covariance)) @ basis
            weight = 0.5 * (weight + weight.T)
        return cls(rates, basis.T @ (first - theta), noise_variance, len(x), weight)

    # Along the reset-free curve ----------------------------------------------------------------

    @QUIET
    def _left(self, time: Any, learning_rate: Any) -> tuple[Any, Any]:
        """What is left of the signal, and the noise picked up over the eigenvalue."""
        rate = self.eigenvalues
        if learning_rate is None:
            fall = rate * time[..., None]
            risen = -np.expm1(-fall)
            small = np.where(np.isinf(time[..., None]) & (rate == 0), 0.0, time[..., None])
            return np.exp(-fall), np.where(rate > 0, risen / np.where(rate > 0, rate, 1.0), small)
        share = learning_rate * rate
        steps = time[..., None]
        # (1 - eta lambda)^n: by log1p as long as steps do not overshoot
        calm = share < 1.0
        log_left = steps * np.log1p(-np.where(calm, share, 0.0))
        left = np.where(calm, np.exp(log_left), np.power(1.0 - share, steps))
        risen = np.where(calm, -np.expm1(log_left), 1.0 - left)
        start = learning_rate * steps
        return left, np.where(rate > 0, risen / np.where(rate > 0, rate, 1.0), start)

    def _times(self, time: RealLike, learning_rate: float | None) -> tuple[Array, Any]:
        if learning_rate is None:
            return np.asarray(domain.nonnegative("time", time, infinite=True)), None
        steps = np.asarray(domain.nonnegative("time", time))
        if np.any(steps != np.floor(steps)):
            raise DomainError("time", time, "whole steps, for a learning rate is given")
        eta = np.asarray(domain.positive("learning_rate", learning_rate))
        if eta.ndim:
            raise DomainError("learning_rate", learning_rate, "a single number")
        return steps, float(eta)

    @QUIET
    def bias(self, time: RealLike, learning_rate: float | None = None) -> Real:
        """Risk of the signal not yet learnt; arguments as in :meth:`risk`."""
        at, eta = self._times(time, learning_rate)
        error = self.signal * self._left(at, eta)[0]
        if self._full is not None:
            return domain.plain(np.maximum(np.sum((error @ self._full) * error, axis=-1), 0.0))
        return domain.plain(np.sum(self._weight * error**2, axis=-1))

    @QUIET
    def variance(self, time: RealLike, learning_rate: float | None = None) -> Real:
        """Risk of the noise memorised; arguments as in :meth:`risk`."""
        at, eta = self._times(time, learning_rate)
        picked = self._left(at, eta)[1]
        return domain.plain(
            self._drive * np.sum(self._weight * self.eigenvalues * picked**2, axis=-1)
        )

    def risk(self, time: RealLike, learning_rate: float | None = None) -> Real:
        """Mean risk against time, the U-curve.

        Parameters
        ----------
        time : float or array
            Time of gradient flow, ``inf`` allowed; or whole steps of gradient descent.
        learning_rate : float, optional
            Of gradient descent; default gradient flow. May be so large that the risk diverges.
        """
        return domain.plain(
            np.asarray(self.bias(time, learning_rate)) + self.variance(time, learning_rate)
        )

    @QUIET
    def _risk_slope(self, t: Array) -> Array:
        left, picked = self._left(t, None)
        error = self.signal * left
        weighted = error @ self._full if self._full is not None else self._weight * error
        falls = -2.0 * np.sum(weighted * (self.eigenvalues * error), axis=-1)
        rises = 2.0 * self._drive * self._weight * self.eigenvalues * picked * left
        return np.asarray(falls + np.sum(rises, axis=-1))

    def _scales(self) -> tuple[float, float]:
        positive = self.eigenvalues[self.eigenvalues > 0]
        return (float(positive.min()), float(positive.max())) if positive.size else (1.0, 1.0)

    def best_checkpoint(self) -> Minimum:
        """Time of the smallest risk along the reset-free curve, over all its local minima.

        Returns
        -------
        Minimum
            ``at``, the time (``inf``: never stop), and ``loss``, the risk.
        """
        slow, fast = self._scales()
        return minima(
            lambda t: np.atleast_1d(self.risk(t)),
            lambda t: np.atleast_1d(self._risk_slope(t)),
            1e-6 / fast,
            1e3 / slow,
            np.inf,
        )[0]

    # Under resetting -----------------------------------------------------------------------------

    def risk_under(self, protocol: Protocol, checkpoint_time: float = 0.0) -> Real:
        """Long-run mean risk when training is reset to the weights it had at a time.

        Parameters
        ----------
        protocol : Protocol
            When it resets, in the time of gradient flow; its parameter may be an array.
        checkpoint_time : float, default 0
            Time at which the checkpoint was saved; 0 is the start.

        Notes
        -----
        In closed form for Poisson and Sharp, else by quadrature over the ages.
        """
        at = self._checkpoint(checkpoint_time)
        left, picked = (a for a in self._left(at, None))
        if isinstance(protocol, Poisson):
            rate = np.asarray(protocol.rate)[..., None]
            value = poisson_risk(self, rate, left, picked)
            return domain.plain(np.where(rate[..., 0] > 0, value, self.risk(np.inf)))
        if isinstance(protocol, Sharp) and self._full is None:
            return domain.plain(
                sharp_risk(self, np.asarray(protocol.period)[..., None], left, picked)
            )
        ages = ages_of(protocol)
        never = np.asarray(ages.never)
        value = np.asarray(ages.expect(lambda u: np.asarray(self.risk(at + np.asarray(u)))))
        return domain.plain(np.where(never, self.risk(np.inf), value))

    def _checkpoint(self, checkpoint_time: float) -> Array:
        at = np.asarray(domain.nonnegative("checkpoint_time", checkpoint_time))
        if at.ndim:
            raise DomainError("checkpoint_time", checkpoint_time, "a single number")
        return at

    def best_rate(self, checkpoint_time: float = 0.0) -> ResetAdvice:
        r"""Poisson rate of resets to a checkpoint with the smallest long-run risk, globally.

        With one eigenvalue: none if the checkpoint is earlier than :math:`\ln 4/\lambda` before the
        best time :math:`t^*`, ``inf`` (stop there) if it is later than :math:`t^*`, and
        :math:`\lambda (2 - \kappa)/(\kappa - 1)`, :math:`\kappa = e^{\lambda (t^* - t_c)/2}`,
        between.

        Parameters
        ----------
        checkpoint_time : float, default 0
            Time at which the checkpoint was saved.

        Returns
        -------
        ResetAdvice
            With ``rate``, ``risk``, ``pays``, ``reason``, and the risk of stopping early.
        """
        at = self._checkpoint(checkpoint_time)
        return best_rate(self, at)

    # Clean first ---------------------------------------------------------------------------------

    @QUIET
    def clean_priority(self, time: RealLike, noise_rate: float) -> Real:
        r"""Ratio of the clean to the noisy gradient along the flow: which labels training follows.

        With a fraction :math:`\tau` of the samples mislabelled (and carrying all the noise), the
        root mean square of the gradient of the clean samples over that of the mislabelled ones. It
        starts at :math:`(1-\tau)\sqrt{P/(\tau^2 P + N)}`, :math:`P = \sum \lambda_i^2 a_i^2` the
        pull of the signal and :math:`N = \sum \lambda_i \sigma^2/n` that of the noise: above 1 if
        :math:`(1-2\tau) P > N`. It ends at 1, where the two cancel, often from below.

        Parameters
        ----------
        time : float or array
            Time of gradient flow.
        noise_rate : float
            :math:`\tau`, strictly between 0 and 1.

        Notes
        -----
        Both groups see the same input covariance, (1-tau) and tau times that of all: for given data
        :func:`resetsgd.sgd.clean_priority` is exact.

        **Source**: C. Liu, A. Abedsoltan, M. Belkin, arXiv:2306.02533 (2023); derived in
        ``theory/13_label_noise_regression.py``.
        """
        at = np.asarray(domain.nonnegative("time", time, infinite=True))
        tau = float(
            np.asarray(
                domain.within("noise_rate", noise_rate, 0.0, 1.0, open_low=True, open_high=True)
            )
        )
        left, picked = self._left(at, None)
        risen = self.eigenvalues * picked
        pull = (self.eigenvalues * self.signal * left) ** 2
        noise = self._drive * self.eigenvalues
        clean = (1.0 - tau) ** 2 * np.sum(pull + noise * risen**2, axis=-1)
        noisy = np.sum(tau**2 * pull + noise * (1.0 - tau * risen) ** 2, axis=-1)
        return domain.plain(np.where(noisy > 0, np.sqrt(clean / noisy), 1.0))

    def clean_priority_end(self, noise_rate: float, level: float = 1.0) -> float:
        """Time at which the ratio of :meth:`clean_priority` first falls to a level.

        Parameters
        ----------
        noise_rate : float
            Fraction of mislabelled samples.
        level : float, default 1
            Ratio, positive. At 1 the mislabelled samples take the lead, or all is learnt.

        Returns
        -------
        float
            0 if it starts there or below; ``inf`` if it never falls so far.

        Notes
        -----
        Bracketed on 4000 times over all scales of the flow, then bisected to the last bits.
        """
        level = float(np.asarray(domain.positive("level", level)))
        slow, fast = self._scales()
        grid = np.concatenate([[0.0], np.geomspace(1e-6 / fast, 750.0 / slow, 4000)])
        reached = np.asarray(self.clean_priority(grid, noise_rate)) <= level
        if not reached.any():
            return float(np.inf)
        first = int(np.argmax(reached))
        if first == 0:
            return 0.0
        low, high = float(grid[first - 1]), float(grid[first])
        for _ in range(80):
            middle = 0.5 * (low + high)
            if float(np.asarray(self.clean_priority(middle, noise_rate))) > level:
                low = middle
            else:
                high = middle
        return 0.5 * (low + high)
