"""One tree of errors: everything resetsgd raises on purpose is a :class:`ResetSGDError`.

What it warns of is a :class:`ResetSGDWarning`.
"""

from __future__ import annotations

__all__ = [
    "CensoredMean",
    "CorruptData",
    "DomainError",
    "MissingExtra",
    "NoDevice",
    "NotConverged",
    "OutputError",
    "ResetSGDError",
    "ResetSGDWarning",
    "StreamMismatch",
]


class ResetSGDError(Exception):
    """Base of every error that resetsgd raises on purpose; its text is one line for a person."""


class DomainError(ResetSGDError, ValueError):
    """An argument lies outside what is defined.

    Parameters
    ----------
    argument : str
        Name of the offending argument.
    value : object
        What was given.
    allowed : str
        What would have been allowed, in words.
    """

    def __init__(self, argument: str, value: object, allowed: str) -> None:
        self.argument = argument
        self.value = value
        self.allowed = allowed
        super().__init__(f"{argument} = {_short(value)}: must be {allowed}")

    def __reduce__(self) -> tuple[type[DomainError], tuple[str, object, str]]:
        return type(self), (self.argument, self.value, self.allowed)


class NotConverged(ResetSGDError, ArithmeticError):
    """A numerical procedure stopped at its bound without reaching its promised accuracy."""


class CensoredMean(ResetSGDError, ArithmeticError):
    """A mean was asked of runs of which some never arrived: the data do not determine it.

    Use ``restricted_mean(horizon)``, ``survival(t)`` or a protocol under which it is determined.
    """


class CorruptData(ResetSGDError):
    """A file is damaged or is not what its digest says; the text names the file."""


class StreamMismatch(ResetSGDError):
    """A stored run belongs to other settings, versions or random streams than those asked for."""


class OutputError(ResetSGDError, OSError):
    """Results cannot be written where they were asked to be written."""


class MissingExtra(ResetSGDError, ImportError):
    """An optional dependency is absent; the text says which extra installs it."""

    def __init__(self, package: str, extra: str) -> None:
        self.package = package
        self.extra = extra
        super().__init__(
            f"{package} is not installed: pip install 'resetsgd[{extra}]' brings what this needs"
        )

    def __reduce__(self) -> tuple[type[MissingExtra], tuple[str, str]]:
        return type(self), (self.package, self.extra)


class NoDevice(ResetSGDError, RuntimeError):
    """No CUDA device can be used by this process; the text says why.

    Parameters
    ----------
    reason : str
        What was missing.
    """

    def __init__(self, reason: str) -> None:
        self.reason = " ".join(reason.split())
        super().__init__(f"no CUDA device to use: {self.reason}; device='cpu' needs none")

    def __reduce__(self) -> tuple[type[NoDevice], tuple[str]]:
        return type(self), (self.reason,)


class ResetSGDWarning(UserWarning):
    """A result is less good than it looks; the text says how much, and what to do about it."""


def _short(value: object) -> str:
    """One line of bounded length for any value."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
