"""What the models behind a mixing Dense share: the residual that came around it, one step early."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.lava.stream import StreamModel

__all__ = ["ResidualModel"]


class ResidualModel(StreamModel):
    """Joins what a Dense delayed by one step with the residual `x_in`, and sends it on `y_out`.

    Needs the variable `waiting` (H), where the residual waits for one step.
    """

    def receive(self) -> dict[str, NDArray[Any]]:
        """Return what arrived on the other ports, by role."""
        raise NotImplementedError

    def unit(self, received: dict[str, NDArray[Any]], x: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Return the tensors by role; `y` is sent."""
        raise NotImplementedError

    def advance(self, position: int | None) -> None:
        """Do one step."""
        received = self.receive()
        x = self.waiting.copy()
        self.waiting[:] = self.x_in.recv()
        if position is None:
            self.y_out.send(np.zeros_like(x))
            return
        tensors = self.unit(received, x)
        self.trace(position, **received, **tensors)
        self.y_out.send(tensors["y"])
