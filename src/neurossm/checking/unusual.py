"""Parameters of a rare size or form: nothing refuses them, and often they are a mistake."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from neurossm.arrays import FloatArray
from neurossm.checking.record import Finding
from neurossm.graph import (
    AffineNode,
    BatchNormNode,
    EmbeddingNode,
    Graph,
    LayerNormNode,
    LinearNode,
    Node,
    SSMNode,
)

if TYPE_CHECKING:
    from neurossm.models.feedforward import Feedforward
    from neurossm.models.network import Network

_SPREAD = 2.0**12
"""Beside values so much larger than the median, or than those so much smaller, 16 bits are few."""
_DT_FACTOR = 10.0
"""How far a time step may leave the range it was initialised in."""


def unusual_findings(
    graph: Graph, pole_margin_log2: int, model: Network | Feedforward | None = None
) -> list[Finding]:
    """Look at the parameters of a float graph, and at the time steps of the model it came from."""
    found: list[Finding] = []
    for node in graph.nodes:
        if isinstance(node, SSMNode):
            found += _near_circle(node, pole_margin_log2)
        found += _scales(node)
        found += _unused(graph, node)
    found += _tied(graph)
    if model is not None:
        found += _time_steps(model)
    return found


def _near_circle(node: SSMNode, margin_log2: int) -> Iterator[Finding]:
    radius = np.abs(node.A_bar)
    near = radius > 1 - 2.0**-margin_log2
    if near.any():
        what = (
            f"{near.sum()} of {near.size} poles are nearer to the unit circle than "
            f"2^-{margin_log2} (|A_bar| up to {radius.max():.9g}); the compiler moves them inwards"
        )
        yield Finding("unusual", node.name, what)


def _scales(node: Node) -> Iterator[Finding]:
    """Say where single channels are scaled by far more, or far less, than the others."""
    scales: dict[str, FloatArray] = {}
    if isinstance(node, BatchNormNode):
        scales = {"gain / deviation": node.gain / np.sqrt(node.var + node.eps)}
        still = int((node.var < node.eps).sum())
        if still:
            what = f"{still} of {node.var.size} channels have a variance below eps: they never vary"
            yield Finding("unusual", node.name, what)
    elif isinstance(node, AffineNode):
        scales = {"scale": node.scale}
    elif isinstance(node, LayerNormNode):
        scales = {"gain": node.gain}
    elif isinstance(node, LinearNode):
        scales = {"largest weight of a row": np.abs(node.weight).max(axis=1)}
    elif isinstance(node, SSMNode):
        scales = {"largest |C B_bar| of a channel": np.abs(node.C * node.B_bar).max(axis=1)}
    for what, values in scales.items():
        size = np.abs(values[values != 0])
        if size.size == 0:
            continue
        middle = float(np.median(size))
        for side, far in (("above", size > middle * _SPREAD), ("below", size < middle / _SPREAD)):
            if far.any():
                extreme = size.max() if side == "above" else size.min()
                text = (
                    f"{what}: {far.sum()} of {values.size} lie a factor of {_SPREAD:.0f} {side} "
                    f"the median ({extreme:.3g}, median {middle:.3g})"
                )
                yield Finding("unusual", node.name, text)


def _unused(graph: Graph, node: Node) -> Iterator[Finding]:
    """Say which channels reach nobody, and which of a layer's own are constant."""
    readers = graph.readers(node.name)
    if readers and all(isinstance(reader, LinearNode) for reader in readers):
        unread = ~np.any([reader.weight.any(axis=0) for reader in readers], axis=0)  # type: ignore[attr-defined]
        if unread.any():
            what = f"{unread.sum()} of {unread.size} channels are unused: all weights behind are 0"
            yield Finding("unusual", node.name, what)
    constant = None
    if isinstance(node, LinearNode):
        constant = ~node.weight.any(axis=1)
    elif isinstance(node, SSMNode):
        constant = ~((node.C * node.B_bar).any(axis=1) | (node.D != 0))
    elif isinstance(node, AffineNode):
        constant = node.scale == 0
    elif isinstance(node, BatchNormNode | LayerNormNode):
        constant = node.gain == 0
    if constant is not None and constant.any():
        what = f"{constant.sum()} of {constant.size} channels are constant: their weights are all 0"
        yield Finding("unusual", node.name, what)


def _tied(graph: Graph) -> Iterator[Finding]:
    """Say which layers have the same weights, or poles."""
    holders: dict[tuple[str, tuple[int, ...], bytes], list[str]] = {}
    for node in graph.nodes:
        if isinstance(node, LinearNode | EmbeddingNode):
            _hold(holders, "weight", node.weight, node.name)
        elif isinstance(node, SSMNode):
            _hold(holders, "A_bar", node.A_bar, node.name)
    for (what, shape, _), names in holders.items():
        if len(names) > 1:
            size = "x".join(map(str, shape))
            text = f"the same {what} ({size}) as {', '.join(names[1:])}; each gets its own integers"
            yield Finding("unusual", names[0], text)


def _hold(
    holders: dict[tuple[str, tuple[int, ...], bytes], list[str]],
    what: str,
    values: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
    name: str,
) -> None:
    if (values != values.flat[0]).any():  # what is all the same tells nothing
        holders.setdefault((what, values.shape, values.tobytes()), []).append(name)


def _time_steps(model: Network | Feedforward) -> Iterator[Finding]:
    low, high = (getattr(model.config, name, None) for name in ("dt_min", "dt_max"))
    if low is None or high is None:
        return
    for name, values in model.state_dict().items():
        if not name.endswith("log_dt"):
            continue
        dt = np.exp(values.detach().double().cpu().numpy())
        beyond = (dt < low / _DT_FACTOR) | (dt > high * _DT_FACTOR)
        if beyond.any():
            what = (
                f"{beyond.sum()} of {dt.size} time steps dt are more than {_DT_FACTOR:.0f} times "
                f"outside [{low:g}, {high:g}], where training began ({dt.min():.3g} to "
                f"{dt.max():.3g})"
            )
            yield Finding("unusual", name.removesuffix(".log_dt"), what)
