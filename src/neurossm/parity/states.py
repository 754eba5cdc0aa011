"""Signal-to-noise ratio of SSM states, on a few samples: there are too many states for all.

A state integer `m` stands for `m 2^-(e_u + k)`, with `e_u` the exponent of the SSM's input and `k`
its `input_shift`. It belongs to the recurrence whose input is not multiplied by `B_bar`, which is
folded into C; so the float states are those of `s = A_bar s + u`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from neurossm import registry
from neurossm.arrays import ComplexArray, FloatArray
from neurossm.graph import nodes
from neurossm.graph.evaluate import GraphEvaluator
from neurossm.parity.layers import decibel, decibels
from neurossm.parity.results import StateRatios
from neurossm.program import SSM, Program

MAX_VALUES = 1 << 24
"""State parts of one layer held at once; the end of a longer sample is left out."""
MODE_QUANTILES = (0.0, 0.1, 0.5)


def states_steps(program: Program, steps: int) -> int:
    """Return how many steps of a sample are compared, so that memory stays bounded."""
    sizes = [op.a_re.size for op in program.ops if isinstance(op, SSM)]
    return max(1, min(steps, MAX_VALUES // max(sizes, default=1)))


class StateParity:
    """States of one SSM between an upper and a lower rung: energies (2, windows, H, N)."""

    def __init__(self, op: SSM, windows: int) -> None:
        self.energy = np.zeros((2, windows, *op.a_re.shape))

    def add(self, upper: ComplexArray, lower: ComplexArray, starts: NDArray[np.int64]) -> None:
        """Add one sample's states (L, H, N)."""
        for total, values in zip(self.energy, (upper, lower - upper), strict=True):
            power = np.square(values.real)
            power += np.square(values.imag)
            total[: len(starts)] += np.add.reduceat(power, starts, axis=0)

    def result(self) -> StateRatios:
        """Return ratios: of all states, by window, and how they are spread over the modes."""
        in_time = self.energy.sum(axis=(2, 3))
        signal, noise = self.energy.sum(axis=1).reshape(2, -1)
        heard = (signal > 0) & (noise > 0)
        ratios = 10 * (np.log10(signal[heard]) - np.log10(noise[heard]))
        return StateRatios(
            state_snr_db=decibel(*in_time.sum(axis=1).tolist()),
            state_snr_db_over_time=decibels(in_time),
            state_snr_db_by_mode={
                str(q): float(np.quantile(ratios, q)) if ratios.size else None
                for q in MODE_QUANTILES
            },
        )


def compare_states(
    program: Program,
    data: Sequence[NDArray[np.generic]],
    engine: str,
    rungs: Mapping[str, GraphEvaluator],
    pairs: Sequence[tuple[str, str]],
    edges: NDArray[np.int64],
) -> dict[tuple[str, str], dict[str, StateRatios]]:
    """Compare the states of all SSMs on pairs of rungs.

    Parameters
    ----------
    program
        The integer program.
    data
        The few samples, (L, C) each.
    engine
        What gives the integers.
    rungs
        Float rungs by name; they record each SSM's input.
    pairs
        Upper and lower rung; "fixed" is the program.
    edges
        Windows of time, as of `window_edges`, up to the last step compared.

    Returns
    -------
    dict
        By pair, then by the SSM's name.
    """
    ops = [op for op in program.ops if isinstance(op, SSM)]
    found = {pair: {op.name: StateParity(op, len(edges) - 1) for op in ops} for pair in pairs}
    for sample in data:
        x, starts = sample[None], edges[:-1][edges[:-1] < len(sample)]
        values = {name: rung(x) for name, rung in rungs.items()}
        for op in ops:
            states = {"fixed": _fixed(program, op, x, engine)}
            for name, rung in rungs.items():
                node = rung.graph[op.name]
                assert isinstance(node, nodes.SSMNode)
                states[name] = node.states(values[name][node.inputs[0]])[0]
            for pair in pairs:
                upper, lower = (states[rung] for rung in pair)
                found[pair][op.name].add(upper, lower, starts)
    return {
        pair: {name: parity.result() for name, parity in by_name.items()}
        for pair, by_name in found.items()
    }


def _fixed(program: Program, op: SSM, x: NDArray[np.generic], engine: str) -> ComplexArray:
    """Return the real values (L, H, N) of one sample's integer states."""
    names = [f"{op.name}:state_{part}" for part in ("re", "im")]
    tensors = registry.run(program, x, engine, names).tensors
    exponent = program[op.inputs[0]].out.exponent[:, None] + op.input_shift
    scale: FloatArray = np.exp2(-exponent.astype(np.float64))
    states: ComplexArray = np.empty(tensors[names[0]][0].shape, np.complex128)
    states.real, states.imag = (tensors[name][0] * scale for name in names)
    return states
