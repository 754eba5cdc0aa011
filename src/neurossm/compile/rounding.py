"""Round weights so that their errors cancel on the spikes that really occur.

Rounding each weight to nearest makes every weight's error small, but it is the error of the sum
that matters. With the mean `mu` and the covariance `S` of a layer's inputs, an error `d` of a row
of weights adds `d mu` to the sum on average, which the bias takes back, and `d S d'` to its
variance.
Weights are rounded one after the other, and each one's error is passed on to those not yet rounded
in the proportion that keeps `d S d'` least (Hassibi & Stork 1993; Frantar et al. 2022, "GPTQ").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from neurossm.arrays import FloatArray, IntArray
from neurossm.compile.scaling import fitting_exponent, largest_mantissa, to_mantissa
from neurossm.graph import Graph, InputNode, LinearNode, PoolNode

_DAMPING = 0.01
"""Share of the mean variance added to every input's own: keeps rare inputs' weights in place."""


@dataclass(frozen=True, eq=False)
class InputStatistics:
    """Mean (I) and covariance (I, I) of what a layer of weights reads."""

    mean: FloatArray
    covariance: FloatArray


class StatisticsObserver:
    """Gathers the statistics of every mixing layer's input."""

    def __init__(self, graph: Graph) -> None:
        self._layers = [
            node for node in graph.nodes if isinstance(node, LinearNode) and _mixes(graph, node)
        ]
        self.names = sorted({node.inputs[0] for node in self._layers})
        self._count = dict.fromkeys(self.names, 0)
        self._first = dict.fromkeys(self.names, np.zeros(1))
        self._second = dict.fromkeys(self.names, np.zeros((1, 1)))

    @property
    def complete(self) -> bool:
        """Whether every tensor was seen."""
        return all(self._count.values())

    def add(self, values: dict[str, FloatArray]) -> None:
        """Add up a batch of those of the tensors that are given."""
        for name in [name for name in self.names if name in values]:
            flat = values[name].reshape(-1, values[name].shape[-1])
            self._first[name] = self._first[name] + flat.sum(axis=0)
            self._second[name] = self._second[name] + flat.T @ flat
            self._count[name] += len(flat)

    def statistics(self) -> Mapping[str, InputStatistics]:
        """Return the statistics over all samples and steps, by layer."""
        found = {}
        for name in self.names:
            mean = self._first[name] / self._count[name]
            covariance = self._second[name] / self._count[name] - np.outer(mean, mean)
            found[name] = InputStatistics(mean, covariance)
        return {node.name: found[node.inputs[0]] for node in self._layers}


def _mixes(graph: Graph, node: LinearNode) -> bool:
    return not isinstance(graph[node.inputs[0]], (InputNode, PoolNode))


def round_adjusted(weight: FloatArray, covariance: FloatArray, limit: int) -> IntArray:
    """Round weights (O, I), in units of their rows, to integers within +-limit.

    Inputs are taken in the order of falling variance, so that the errors of the busiest are passed
    on to the most others.
    """
    variance = np.diag(covariance)
    damping = _DAMPING * max(float(variance.mean()), 1e-12)
    order = np.argsort(-variance, kind="stable")
    matrix = covariance[np.ix_(order, order)] + damping * np.eye(len(order))
    # Row i of the factor: how an error of weight i is best made up by the weights after it.
    factor = np.linalg.cholesky(np.linalg.inv(matrix)).T  # (I, I), upper triangular
    rest = weight[:, order].copy()
    rounded = np.empty(rest.shape, dtype=np.int64)
    for i in range(rest.shape[1]):
        rounded[:, i] = np.clip(np.floor(rest[:, i] + 0.5), -limit, limit)
        error = (rest[:, i] - rounded[:, i]) / factor[i, i]
        rest[:, i + 1 :] -= error[:, None] * factor[i, i + 1 :]
    result = np.empty_like(rounded)
    result[:, order] = rounded
    return result


def corrected_bias(
    bias: FloatArray, weight: FloatArray, used: FloatArray, mean: FloatArray
) -> FloatArray:
    """Return the bias that makes up for the mean error of weights `used` instead of `weight`."""
    corrected: FloatArray = bias + (weight - used) @ mean
    return corrected


@dataclass(frozen=True, eq=False)
class Weights:
    """Weights as integers (O, I), what a unit of each row stands for (O), and their bias (O)."""

    integers: IntArray
    unit: FloatArray
    bias: FloatArray


def integer_weights(
    node: LinearNode, bits: int, row_scale: str, seen: InputStatistics | None
) -> Weights:
    """Round a layer's weights: each by itself, or so that errors cancel where data were seen."""
    if seen is None:
        return Weights(*quantise_weights(node.weight, bits, row_scale), node.bias)
    unit = row_units(node.weight, bits, row_scale)
    limit = largest_mantissa(bits)
    weight = round_adjusted(node.weight / unit[:, None], seen.covariance, limit)
    bias = corrected_bias(node.bias, node.weight, weight * unit[:, None], seen.mean)
    return Weights(weight, unit, bias)


def quantise_weights(weight: FloatArray, bits: int, row_scale: str) -> tuple[IntArray, FloatArray]:
    """Return integer weights (O, I), rounded to nearest, and their rows' units (O)."""
    unit = row_units(weight, bits, row_scale)
    return to_mantissa(weight / unit[:, None], 0), unit


def row_units(weight: FloatArray, bits: int, row_scale: str) -> FloatArray:
    """Return what one unit of each row of integer weights stands for, (O).

    A row's unit is a power of two ("power-of-two": undone by a shift), or whatever makes its
    largest weight fill the width ("full": undone by the factor of the Affine behind it).
    """
    limit = largest_mantissa(bits)
    largest = np.abs(weight).max(axis=1)
    if row_scale == "full":
        return np.where(largest > 0, largest / limit, 1.0)
    return np.exp2(-fitting_exponent(largest, limit).astype(np.float64))
