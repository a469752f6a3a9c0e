"""Losses and methods by name: the built-in ones, those registered here, and installed plug-ins."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from resetsgd.errors import DomainError

__all__ = ["Registry"]


class Registry:
    """Factories by name; unknown names are looked up among the entry points of a group.

    Parameters
    ----------
    group : str
        Entry-point group in which other packages announce theirs, ``"resetsgd.losses"`` say.
    kind : str
        What is registered, in one word, for messages.

    Notes
    -----
    A plug-in is loaded when its name is first asked for, not before. A name that is built in or was
    registered is never taken over by a plug-in.

    Examples
    --------
    >>> shapes = Registry("example.shapes", "shape")
    >>> shapes.add("square", lambda side: side**2)
    >>> shapes.make("square", side=3)
    9
    """

    def __init__(self, group: str, kind: str) -> None:
        self.group = group
        self.kind = kind
        self._known: dict[str, Callable[..., Any]] = {}

    def add(self, name: str, factory: Callable[..., Any]) -> None:
        """Register a factory.

        Parameters
        ----------
        name : str
            Not in use yet.
        factory : callable
            Makes what the name stands for.

        Raises
        ------
        DomainError
            For a name in use or a factory that cannot be called.
        """
        if not isinstance(name, str) or not name or name in self._known:
            raise DomainError("name", name, f"a text that no {self.kind} has yet")
        if not callable(factory):
            raise DomainError("factory", factory, "callable")
        self._known[name] = factory

    def names(self) -> list[str]:
        """All names, those of installed plug-ins included, in the order of the alphabet."""
        return sorted({*self._known, *(found.name for found in entry_points(group=self.group))})

    def get(self, name: str) -> Callable[..., Any]:
        """The factory of a name.

        Parameters
        ----------
        name : str
            One of :meth:`names`.

        Raises
        ------
        DomainError
            For an unknown name, or a plug-in that is not callable.
        """
        if name not in self._known:
            for found in entry_points(group=self.group, name=str(name)):
                self.add(found.name, found.load())
                break
            else:
                raise DomainError(self.kind, name, "one of " + ", ".join(self.names()))
        return self._known[name]

    def make(self, name: str, *arguments: Any, **options: Any) -> Any:
        """Call the factory of a name.

        Parameters
        ----------
        name : str
            One of :meth:`names`.
        *arguments, **options : Any
            For the factory.

        Raises
        ------
        DomainError
            For an unknown name.
        """
        return self.get(name)(*arguments, **options)
