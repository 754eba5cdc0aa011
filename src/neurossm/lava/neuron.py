"""What the models of state-space neurons share: states, their resets, and two kinds of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from neurossm.lava import fixed, floating
from neurossm.lava.parameters import Modes, Rescale
from neurossm.lava.record import require_integers
from neurossm.lava.stream import StreamModel

__all__ = ["FixedNeuron", "FloatingNeuron", "NeuronModel"]


class NeuronModel(StreamModel):
    """Advances states by `a_in` and sends graded values on `y_out` and spikes on `s_out`.

    Reads `modes` and `rescale` from `proc_params`; needs the variables `state_re`, `state_im`.
    """

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.modes: Modes = proc_params["modes"]
        self.rescale: Rescale | None = proc_params["rescale"]

    def neuron(self, a: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return u and y (H) and advance the states."""
        raise NotImplementedError

    def fire(self, y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the graded values to send (H), and the spikes (H)."""
        raise NotImplementedError

    def advance(self, position: int | None) -> None:
        """Turn one input into one output and spikes; a sample begins with states of zero."""
        a = self.a_in.recv()
        if position is None:
            self.y_out.send(np.zeros_like(a))
            self.s_out.send(np.zeros(a.shape, bool))
            return
        if self.schedule.begins(position):
            self.state_re[:] = 0
            self.state_im[:] = 0
        u, y = self.neuron(a)
        graded, s = self.fire(y)
        states = {"state_re": self.state_re, "state_im": self.state_im}
        self.trace(position, a=a, u=u, y=y, graded=graded, s=s, **states)
        self.y_out.send(graded)
        self.s_out.send(s)


class FixedNeuron(NeuronModel):
    """Integers, rounded and saturated; `saturations` begins with those of u, the states and y."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        require_integers(self.modes, self.rescale)

    def neuron(self, a: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Compute in integers."""
        u, saturated_u = fixed.normalise(self.rescale, a.astype(np.int64))
        y, saturated_state, saturated_y = fixed.step(self.modes, u, self.state_re, self.state_im)
        self.saturations[:3] += (saturated_u, saturated_state, saturated_y)
        return u, y


class FloatingNeuron(NeuronModel):
    """Real numbers."""

    def __init__(self, proc_params: Any) -> None:
        super().__init__(proc_params)
        self.coefficients = floating.coefficients(self.modes)

    def neuron(self, a: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Compute in float64."""
        u = floating.normalise(self.rescale, a)
        return u, floating.step(self.coefficients, u, self.state_re, self.state_im)
