"""What each of NIR's nodes is in the float graph, in discrete time.

NIR's equations are differential ones. In a step of `dt` the input is held. With `a` what is left of
a state after a step without input, and `b` what it takes of its drive::

    euler   a = 1 - dt / tau         b = dt / tau
    exact   a = exp(-dt / tau)       b = 1 - a

Every neuron integrates, compares with its threshold (`v > v_threshold`), and is reset; `v` begins
at `v_reset`, which NIR leaves open, and at 0 where there is no reset; currents begin at 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.errors import UnsupportedError
from neurossm.graph import nodes as n
from neurossm.graph.node import Node

Integration = Literal["euler", "exact"]


@dataclass(frozen=True)
class Clock:
    """A step of `dt` (in the unit of NIR's time constants), and how equations are integrated."""

    dt: float
    integration: Integration

    def decay(self, name: str, tau: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return a and b of time constants.

        Raises
        ------
        UnsupportedError
            A time constant is not positive, or shorter than a step that Euler's method can take.
        """
        if (tau <= 0).any():
            raise UnsupportedError(f"{name}: time constant {tau.min():.6g}, must be positive")
        if self.integration == "exact":
            b = -np.expm1(-self.dt / tau)
            return np.exp(-self.dt / tau), b
        if (tau < self.dt).any():
            raise UnsupportedError(
                f"{name}: time constant {tau.min():.6g} is shorter than the step dt={self.dt:.6g}, "
                "with which Euler's method does not decay; use a smaller dt, or exact integration"
            )
        b = self.dt / tau
        return 1 - b, b


Made = list[Node]
Translate = Callable[[str, str, Any, Clock], Made]


def _flat(values: Any) -> FloatArray:
    return np.asarray(values, np.float64).ravel()


def _matrix(name: str, weight: Any) -> FloatArray:
    array = np.asarray(weight, np.float64)
    if array.ndim != 2:
        raise UnsupportedError(f"{name}: weights of shape {array.shape}; only matrices can be run")
    return array


def _linear(name: str, reads: str, node: Any, clock: Clock) -> Made:
    weight = _matrix(name, node.weight)
    return [n.LinearNode(name, (reads,), weight, np.zeros(len(weight)))]


def _affine(name: str, reads: str, node: Any, clock: Clock) -> Made:
    return [n.LinearNode(name, (reads,), _matrix(name, node.weight), _flat(node.bias))]


def _scale(name: str, reads: str, node: Any, clock: Clock) -> Made:
    scale = _flat(node.scale)
    return [n.AffineNode(name, (reads,), scale, np.zeros(scale.size))]


def _threshold(name: str, reads: str, node: Any, clock: Clock) -> Made:
    return [n.SpikeNode(name, (reads,), _flat(node.threshold))]


def _lif(name: str, reads: str, node: Any, clock: Clock) -> Made:
    a, b = clock.decay(name, _flat(node.tau))
    return _membrane(name, reads, node, a, b * _flat(node.r), b * _flat(node.v_leak))


def _if(name: str, reads: str, node: Any, clock: Clock) -> Made:
    r = _flat(node.r)
    return _membrane(name, reads, node, np.ones(r.size), clock.dt * r, np.zeros(r.size))


def _membrane(
    name: str, reads: str, node: Any, a: FloatArray, gain: FloatArray, constant: FloatArray
) -> Made:
    """Return the neurons `v' = a v + gain x + constant`, in terms of `v - v_reset`."""
    reset, drive = _flat(node.v_reset), f"{name}.drive"
    return [
        n.AffineNode(drive, (reads,), gain, constant - (1 - a) * reset, layer=name),
        n.LIFNode(name, (drive,), a, _flat(node.v_threshold) - reset, layer=name),
    ]


def _li(name: str, reads: str, node: Any, clock: Clock) -> Made:
    a, b = clock.decay(name, _flat(node.tau))
    return _leak(name, reads, a, b * _flat(node.r), b * _flat(node.v_leak))


def _leak(name: str, reads: str, a: FloatArray, gain: FloatArray, constant: FloatArray) -> Made:
    """Return `v' = a v + gain x + constant` without a threshold."""
    drive = f"{name}.drive"
    return [
        n.AffineNode(drive, (reads,), gain, constant, layer=name),
        _filter(name, drive, a, np.ones(a.size), np.zeros(a.size), name),
    ]


def _filter(
    name: str, reads: str, a: FloatArray, gain: FloatArray, direct: FloatArray, layer: str
) -> Node:
    """Return `s' = a s + x; y = gain s' + direct x`, an SSM of one real pole."""
    one = np.ones((a.size, 1), complex)
    return n.SSMNode(
        name, (reads,), a[:, None] * one, one, gain[:, None] / 2 * one, direct, layer=layer
    )


def _current(name: str, reads: str, node: Any, clock: Clock) -> tuple[Node, FloatArray, FloatArray]:
    """Return what drives a membrane with a synaptic current, and what its v keeps, and takes.

    The current is `I' = a_s I + b_s w_in S`. Euler's method drives v with the old current; exactly,
    with both: `v' = a v + R (g I + (1 - a - g) w_in S)`, `g = tau_s (a_s - a) / (tau_s - tau)`.
    """
    tau, tau_s = _flat(node.tau_mem), _flat(node.tau_syn)
    a, b = clock.decay(name, tau)
    a_s, b_s = clock.decay(name, tau_s)
    r, w = _flat(node.r), _flat(node.w_in)
    if clock.integration == "euler":
        old, new = b * r, np.zeros(r.size)
    else:
        apart = np.where(tau_s == tau, 1.0, tau_s - tau)
        g = np.where(tau_s == tau, clock.dt / tau * a, tau_s * (a_s - a) / apart)
        old, new = r * g, r * w * (1 - a - g)
    if (a_s == 0).any():
        raise UnsupportedError(
            f"{name}: tau_syn {tau_s.min():.6g} is dt: its current is gone after a step; use a "
            "smaller dt, or exact integration"
        )
    # s' = a_s s + S, so that I' = b_s w s', and the old I = b_s w (s' - S) / a_s
    weight = old * b_s * w / a_s
    drive = _filter(f"{name}.current", reads, a_s, weight, new - weight, name)
    return drive, a, b


def _cuba_lif(name: str, reads: str, node: Any, clock: Clock) -> Made:
    current, a, b = _current(name, reads, node, clock)
    constant, ones = b * _flat(node.v_leak), np.ones(a.size)
    return [current, *_membrane(name, current.name, node, a, ones, constant)]


def _cuba_li(name: str, reads: str, node: Any, clock: Clock) -> Made:
    current, a, b = _current(name, reads, node, clock)
    return [current, *_leak(name, current.name, a, np.ones(a.size), b * _flat(node.v_leak))]


def _delay(name: str, reads: str, node: Any, clock: Clock) -> Made:
    if np.any(np.asarray(node.delay) != 0):
        raise UnsupportedError(
            f"{name}: a Delay of {np.max(node.delay):.6g}; the float graph has no delays"
        )
    return []


def _flatten(name: str, reads: str, node: Any, clock: Clock) -> Made:
    return []


TRANSLATIONS: Mapping[str, Translate] = {
    "Linear": _linear,
    "Affine": _affine,
    "Scale": _scale,
    "Threshold": _threshold,
    "LIF": _lif,
    "IF": _if,
    "LI": _li,
    "CubaLIF": _cuba_lif,
    "CubaLI": _cuba_li,
    "Delay": _delay,
    "Flatten": _flatten,
}
"""How to translate each of NIR's nodes: (name, tensor it reads, node, clock) to nodes of ours.

None of ours means that the node passes on what it reads."""
REFUSED = {
    "I": "an integrator without leak or reset adds up without end, which no width holds",
    "Conv1d": "convolutions over channels are no matrices of ours; write it as Linear",
    "Conv2d": "convolutions over channels are no matrices of ours; write it as Linear",
    "SumPool2d": "pooling is no node of ours; write it as Linear",
    "AvgPool2d": "pooling is no node of ours; write it as Linear",
}
"""Why other nodes of NIR's are refused."""
