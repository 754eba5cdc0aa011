"""Spike rasters of real samples, beside the samples."""

from __future__ import annotations

from math import isqrt

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import NDArray

from neurossm.arrays import FloatArray, IntArray
from neurossm.reporting.drawing import BRIGHT, ORANGE, Plot
from neurossm.reporting.evidence import Evidence, Example

MAX_COLUMNS = 800
"""Longer samples are drawn with several steps in a column."""


def rasters(evidence: Evidence) -> Plot | None:
    """Each sample and the spikes of every layer: channels up, time to the right.

    None if no layer spikes.
    """
    examples = evidence.examples
    layers = list(examples[0].spikes)
    if not layers:
        return None
    figure, cells = _cells(len(examples), len(layers))
    for (left, *right), example in zip(cells, examples, strict=True):
        _sample(left, example)
        for axis, layer in zip(right, layers, strict=True):
            _raster(axis, example.spikes[layer], layer)
            axis.tick_params(labelbottom=axis is right[-1])
        right[-1].set_xlabel("step")
    ternary = any((spikes < 0).any() for e in examples for spikes in e.spikes.values())
    signs = " Blue is +1, orange -1." if ternary else ""
    caption = (
        "Samples as the network receives them, pixel by pixel, and the spikes they cause: one line "
        f"per channel, one column per step.{signs}"
    )
    return Plot("rasters", "Spikes of real samples", caption, figure)


def _cells(examples: int, layers: int) -> tuple[Figure, list[list[Axes]]]:
    """Return a figure and the axes of each example: its sample, then one for each layer.

    Laid out by hand: Matplotlib's solver of layouts differs in the sixth digit from run to run.
    """
    each, above, below = 0.95 * layers, 0.35, 0.45  # inches
    height = examples * (each + above + below)
    figure = Figure(figsize=(7.6, height))
    rows = figure.add_gridspec(
        examples,
        1,
        left=0.02,
        right=0.98,
        top=1 - above / height,
        bottom=below / height,
        hspace=(above + below) / each,
    )
    cells = []
    for row in range(examples):
        pair = rows[row].subgridspec(1, 2, width_ratios=[1, 3.4], wspace=0.4)
        stack = pair[1].subgridspec(layers, 1, hspace=0.3)
        parts = [pair[0], *(stack[layer] for layer in range(layers))]
        cells.append([figure.add_subplot(part) for part in parts])
    return figure, cells


def _sample(axis: Axes, example: Example) -> None:
    steps, channels = example.x.shape
    side = isqrt(steps)
    if channels == 1 and side * side == steps and side > 3:
        image = example.x.reshape(side, side)
        axis.imshow(image, cmap="gray", interpolation="nearest")
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(True)
    else:
        axis.plot(example.x, linewidth=0.7)
        axis.set_xlabel("step")
    label = "" if example.label is None else f", label {example.label}"
    axis.set_title(f"sample {example.index}{label}\npredicted {example.fixed}", fontsize=9)


def _raster(axis: Axes, spikes: NDArray[np.int8], layer: str) -> None:
    steps, channels = spikes.shape
    positive, negative = _pooled(spikes > 0), _pooled(spikes < 0)
    image = _tinted(positive.T, BRIGHT)
    if negative.any():
        shown = _tinted(negative.T, ORANGE)
        image = np.where(shown[..., 3:] > image[..., 3:], shown, image)
    extent = (0, steps, channels, 0)
    axis.imshow(image, aspect="auto", interpolation="nearest", extent=extent)
    axis.set_yticks([])
    axis.set_ylabel(layer, rotation=0, ha="right", va="center", fontsize=8)
    axis.set_title(f"{np.count_nonzero(spikes) / spikes.size:.0%} of steps", fontsize=7, pad=1)


def _pooled(active: NDArray[np.bool_]) -> FloatArray:
    """Return (columns, H) shares of steps with a spike, at most `MAX_COLUMNS` columns."""
    steps = active.shape[0]
    width = -(-steps // MAX_COLUMNS)
    if width == 1:
        return active.astype(np.float64)
    padded = np.zeros((-(-steps // width) * width, active.shape[1]))
    padded[:steps] = active
    shares: FloatArray = padded.reshape(-1, width, active.shape[1]).mean(axis=1)
    return shares


def _tinted(share: FloatArray | IntArray, colour: str) -> FloatArray:
    """Return (rows, columns, 4): a colour whose opacity is the share."""
    image = np.empty((*share.shape, 4))
    image[..., :3] = to_rgb(colour)
    image[..., 3] = share
    return image
