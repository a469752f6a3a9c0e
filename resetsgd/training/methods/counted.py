"""The counter of steps that all step objects carry, which draws and schedules go by."""

from __future__ import annotations

from typing import Any

from resetsgd import domain

__all__ = ["Counted"]


class Counted:
    """Something that counts its steps, and resumes from that number."""

    steps = 0

    def state_dict(self) -> dict[str, Any]:
        """The number of steps done, which draws and schedules go by."""
        return {"steps": self.steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a :meth:`state_dict`.

        Parameters
        ----------
        state : dict
            Of the same method.
        """
        self.steps = domain.integer("steps", state["steps"], 0)
