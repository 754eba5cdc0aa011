"""Replace functions no neurocore computes by ones it can, each with a name and an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy import special

from neurossm.arrays import FloatArray, IntArray
from neurossm.compile.calibration import Observer
from neurossm.compile.options import CompileOptions
from neurossm.compile.thresholds import freeze_thresholds
from neurossm.graph import GELUNode, Graph, Node, PiecewiseLinearNode, SigmoidNode, SoftmaxNode
from neurossm.graph.sequences import Sequences
from neurossm.program.program import Approximation
from neurossm.program.softmax import MAX_ERROR
from neurossm.program.work import signed_digits

SLOPE_EXPONENT = 10
"""Slopes are integers times 2**-10."""
_SAMPLES = 1024
_CANDIDATES = 64


@dataclass(frozen=True)
class _Function:
    """A function to tabulate; outside [-reach, reach] its asymptotes stand for it."""

    name: str
    reach: float
    value: Callable[[FloatArray], FloatArray]
    curvature: float
    """Largest second derivative."""
    step_log2: int
    """Segments are `2**-step_log2` wide unless the user chooses."""
    right_slope: int
    """Slope of the right asymptote through the origin (GELU: x), or 0 (sigmoid: constant 1)."""


SIGMOID = _Function("sigmoid", 8.0, special.expit, 0.0963, 3, 0)
GELU_FUNCTION = _Function("gelu", 4.0, lambda x: x * special.ndtr(x), 0.798, 4, 1)


def approximate(
    graph: Graph,
    options: CompileOptions,
    data: Sequences | None = None,
    observer: Observer | None = None,
    *,
    keep_thresholds: bool = False,
) -> tuple[Graph, tuple[Approximation, ...]]:
    """Replace what neurocores cannot compute; return what was replaced, too.

    Sigmoid and GELU become piecewise-linear tables. A softmax stays a node; that its integers take
    powers from a table is told. A GSU's dynamic threshold, which needs a
    maximum over all channels at every step, becomes a static one calibrated on `data`, and the
    BatchNorms behind it get new statistics: the graph must not be folded yet. Where thresholds are
    calibrated, the observer sees the tensors of the graph that is returned. With `keep_thresholds`,
    for a target that knows that maximum, dynamic ones stay.

    Raises
    ------
    InputError
        A dynamic threshold, and no data to calibrate it on.
    """
    nodes: list[Node] = []
    used: dict[str, Approximation] = {}
    for node in graph.nodes:
        function = {SigmoidNode: SIGMOID, GELUNode: GELU_FUNCTION}.get(type(node))
        if function is not None:
            node = replace(tabulate(node.name, node.inputs, function, options), layer=node.layer)
            used[function.name] = Approximation(
                function.name,
                f"{function.name} as {node.base.size} line segments of width "
                f"{2.0**-node.width_log2:g}, slopes of at most {options.slope_digits} signed "
                "digits",
                node.max_error,
            )
        if isinstance(node, SoftmaxNode):  # by its integers: the node stays
            used["softmax"] = Approximation(
                "softmax",
                "softmax from 64 powers of two with lines between them, and a reciprocal by Newton "
                "steps; the greatest and the sum are taken over all channels at each step, off the "
                "cores of a target that knows no maximum over channels",
                MAX_ERROR,
            )
        nodes.append(node)
    approximated = graph.with_nodes(nodes)
    if keep_thresholds:
        return approximated, tuple(used.values())
    graph, replaced = freeze_thresholds(
        graph, options.threshold_scale, data, approximated, observer
    )
    return graph, (*replaced, *used.values())


def tabulate(
    name: str, inputs: tuple[str, ...], function: _Function, options: CompileOptions
) -> PiecewiseLinearNode:
    """Fit a line to every segment: the slope of few signed digits, and the base, of least error."""
    chosen = options.table_step_log2
    step_log2 = function.step_log2 if chosen is None else chosen
    width = 2.0**-step_log2
    count = round(2 * function.reach / width)
    base, slope, errors = np.empty(count), np.empty(count), np.empty(count)
    for i in range(count):
        left = -function.reach + i * width
        if i == 0 or i == count - 1:
            base[i], slope[i], errors[i] = _tail(function, left, width, right=i > 0)
        else:
            base[i], slope[i], errors[i] = _segment(function, left, width, options.slope_digits)
    return PiecewiseLinearNode(
        name,
        inputs,
        function.name,
        -function.reach,
        step_log2,
        base,
        slope,
        float(errors.max()),
    )


@lru_cache(maxsize=4096)
def _segment(
    function: _Function, left: float, width: float, digits: int
) -> tuple[float, float, float]:
    offset = np.linspace(0.0, width, _SAMPLES + 1)
    value = function.value(left + offset)
    chord = (value[-1] - value[0]) / width * 2**SLOPE_EXPONENT
    allowed = _slopes(digits)
    nearest = allowed[np.argsort(np.abs(allowed - chord), kind="stable")[:_CANDIDATES]]
    slopes = nearest * 2.0**-SLOPE_EXPONENT
    rest = value - slopes[:, None] * offset  # (slopes, samples): the base would be this
    spread = (rest.max(axis=1) - rest.min(axis=1)) / 2
    best = int(spread.argmin())
    base = (rest[best].max() + rest[best].min()) / 2
    return base, slopes[best], _between_samples(function, width) + spread[best]


def _tail(
    function: _Function, left: float, width: float, *, right: bool
) -> tuple[float, float, float]:
    """Fit the first or last segment, which extends to infinity along the asymptote.

    Sigmoid and GELU approach their asymptotes monotonically there, so the difference lies
    between 0 (at infinity) and its value at the segment's inner end.
    """
    slope = float(function.right_slope) if right else 0.0
    inner = left if right else left + width
    asymptote_at_left = (slope * left if function.right_slope else 1.0) if right else 0.0
    asymptote_at_inner = asymptote_at_left + slope * (inner - left)
    gap = float(function.value(np.array([inner]))[0]) - asymptote_at_inner
    return asymptote_at_left + gap / 2, slope, abs(gap) / 2


@lru_cache(maxsize=8)
def _slopes(digits: int) -> IntArray:
    """Return all integers up to twice a slope of 1 that have at most so many signed digits."""
    largest = 2 << SLOPE_EXPONENT
    return np.array([m for m in range(-largest, largest + 1) if signed_digits(m) <= digits])


def _between_samples(function: _Function, width: float) -> float:
    """Return how much the error can exceed the largest of the samples."""
    return function.curvature * (width / _SAMPLES) ** 2 / 8
