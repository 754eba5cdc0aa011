"""Draw the pictures of the site: `python scripts/site/pictures.py`, into `docs/pictures/`.

What is measured in them is the shipped model `binary_s4d_small.pt` on the first test digit.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("svg")
import matplotlib.pyplot as plt
from matplotlib.patches import FancyBboxPatch

import neurossm
from neurossm.graph.evaluate import evaluate

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "pictures"
MODEL = ROOT / "examples" / "smnist" / "binary_s4d_small.pt"
DATA = ROOT / "examples" / "smnist" / "mnist_test.npz"
BLUE, ORANGE, GREEN, GREY, RED = "#3f51b5", "#e08214", "#1b7837", "#707070", "#c62828"
STYLE = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "neurossm",
    "svg.fonttype": "path",
    "savefig.facecolor": "white",
}


def main() -> None:
    """Draw all."""
    plt.rcParams.update(STYLE)
    FOLDER.mkdir(exist_ok=True)
    path_of_a_model()
    what_is_known()
    program = neurossm.compile_model(MODEL)
    poles(program)
    spikes(program)


def _save(figure: Any, name: str) -> None:
    figure.savefig(FOLDER / name, bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)


def _box(axes: Any, x: float, y: float, text: str, colour: str, width: float = 1.5) -> None:
    box = FancyBboxPatch(
        (x - width / 2, y - 0.32),
        width,
        0.64,
        boxstyle="round,pad=0.02,rounding_size=0.08",
        facecolor=colour + "1a",
        edgecolor=colour,
        linewidth=1.3,
    )
    axes.add_patch(box)
    axes.text(x, y, text, ha="center", va="center", fontsize=8.4)


def _arrow(axes: Any, start: tuple[float, float], end: tuple[float, float], text: str = "") -> None:
    axes.annotate("", end, start, arrowprops={"arrowstyle": "-|>", "color": GREY, "lw": 1.2})
    if text:
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        axes.text(x, y + 0.1, text, ha="center", va="bottom", fontsize=8, color=GREY)


def path_of_a_model() -> None:
    """From a checkpoint to integers, and what runs them."""
    figure, axes = plt.subplots(figsize=(9.2, 3.3))
    axes.set(xlim=(-0.2, 10.4), ylim=(-0.5, 3.2))
    axes.axis("off")
    for x, text, colour in (
        (0.7, "checkpoint\nPyTorch", GREY),
        (3.2, "float graph\nfloat64, no PyTorch", ORANGE),
        (5.9, "approximated graph\ntables, thresholds", ORANGE),
        (8.6, "program\nintegers only", BLUE),
    ):
        _box(axes, x, 2.4, text, colour, 1.75)
    for start, end, text in ((1.6, 2.3, "export"), (4.1, 5.0, ""), (6.8, 7.7, "")):
        _arrow(axes, (start, 2.4), (end, 2.4), text)
    axes.text(4.55, 2.86, "replace\nwhat no core\ncomputes", ha="center", fontsize=7.5, color=GREY)
    axes.text(7.25, 2.86, "fold, scale,\nround, prove", ha="center", fontsize=7.5, color=GREY)
    engines = ("reference", "fast (CPU)", "fast (GPU)", "C99", "Lava")
    for index, text in enumerate(engines):
        x = 1.0 + 2.05 * index
        _box(axes, x, 0.55, text, BLUE, 1.5)
        _arrow(axes, (8.6, 2.05), (x, 0.92))
    axes.text(5.1, -0.25, "every spike, state and logit the same integer", ha="center", color=BLUE)
    _save(figure, "path.svg")


def what_is_known() -> None:
    """Four kinds of statements, and what each rests on."""
    figure, axes = plt.subplots(figsize=(9.2, 2.4))
    axes.set(xlim=(0, 10), ylim=(0, 2.4))
    axes.axis("off")
    columns = (
        (
            "exact",
            BLUE,
            "engines give equal integers\ncompared one by one,\n0 mismatches or it fails",
        ),
        (
            "proved",
            GREEN,
            "no overflow, for any input\nand any length, by interval\narithmetic and pole series",
        ),
        ("measured", ORANGE, "equal spikes and predictions\nof floats and integers,\non your data"),
        (
            "estimated",
            RED,
            "energy from published prices\ntimes counted operations;\nno chip was measured",
        ),
    )
    for index, (title, colour, text) in enumerate(columns):
        x = 1.25 + 2.5 * index
        box = FancyBboxPatch(
            (x - 1.15, 0.1),
            2.3,
            2.1,
            boxstyle="round,pad=0.02,rounding_size=0.08",
            facecolor=colour + "14",
            edgecolor=colour,
            linewidth=1.3,
        )
        axes.add_patch(box)
        axes.text(x, 1.8, title, ha="center", va="center", fontsize=12, color=colour, weight="bold")
        axes.text(x, 0.9, text, ha="center", va="center", fontsize=7.6, linespacing=1.6)
    _save(figure, "known.svg")


def poles(program: neurossm.Program) -> None:
    """The poles of a trained layer, those of one channel on their grids, and their response."""
    name = "blocks.1.ssm"
    node, op = program.graph[name], program[name]
    exact, rounded = node.A_bar, (op.a_re + 1j * op.a_im) / 2.0**op.pole_shift
    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(10.5, 3.3))
    angle = np.linspace(0, 2 * np.pi, 400)
    left.plot(np.cos(angle), np.sin(angle), color=GREY, lw=0.8)
    left.plot(exact.real.ravel(), exact.imag.ravel(), ".", ms=2.5, color=ORANGE)
    left.set(title="trained poles, all channels", xlabel="real", ylabel="imaginary", aspect="equal")
    error = np.abs(rounded - exact)
    middle.semilogy(1 - np.abs(exact).ravel(), error.ravel(), ".", ms=3, color=BLUE)
    middle.set_xscale("log")
    middle.set(
        title="slow poles get finer grids",
        xlabel="damping 1 - |pole|",
        ylabel="error of the integers",
    )
    channel = 3
    steps = np.arange(200)
    floats = (2 * node.C[channel] * node.B_bar[channel])[:, None] * exact[channel][:, None] ** steps
    unit = 2.0 ** -(
        op.readout_shift[channel]
        - op.input_shift[channel]
        + op.out.exponent[channel]
        - program[op.inputs[0]].out.exponent[channel]
    )
    weights = (op.c_re[channel] + 1j * op.c_im[channel]) * unit
    integers = weights[:, None] * rounded[channel][:, None] ** steps
    right.plot(steps, floats.real.sum(axis=0), color=ORANGE, lw=2.4, label="floats")
    right.plot(steps, integers.real.sum(axis=0), "--", color=BLUE, lw=1.2, label="integers")
    right.set(title=f"impulse response, channel {channel}", xlabel="steps")
    right.legend(frameon=False)
    figure.tight_layout()
    _save(figure, "poles.svg")


def spikes(program: neurossm.Program) -> None:
    """One channel of a digit: what the threshold sees, in floats and integers, and its spikes."""
    x = np.load(DATA)["x"][:1]
    names = ("blocks.1.ssm", "blocks.1.spike")
    floats = evaluate(program.graph, x, names)
    run = program.run(x, record=names)
    channel = int(floats[names[1]][0].mean(axis=0).argsort()[40])
    unit = 2.0 ** -float(program[names[0]].out.exponent[channel])
    part = slice(300, 460)
    steps = np.arange(part.start, part.stop)
    figure, (top, bottom) = plt.subplots(
        2, 1, figsize=(9.2, 3.4), sharex=True, height_ratios=(3, 1)
    )
    top.plot(steps, floats[names[0]][0, part, channel], color=ORANGE, lw=2.6, label="floats")
    top.plot(
        steps,
        run.tensors[names[0]][0, part, channel] * unit,
        "--",
        color=BLUE,
        lw=1.2,
        label="integers times their unit",
    )
    top.axhline(float(program.graph[names[1]].threshold[channel]), color=GREY, lw=0.8)
    top.legend(frameon=False, loc="lower right")
    top.set_ylabel("SSM output")
    rows = (floats[names[1]][0, part, channel], run.tensors[names[1]][0, part, channel])
    for height, (values, colour) in enumerate(zip(rows, (ORANGE, BLUE), strict=True)):
        bottom.vlines(steps[values > 0], height + 0.1, height + 0.9, color=colour, lw=1.2)
    bottom.set(yticks=(0.5, 1.5), xlabel="step", ylim=(0, 2))
    bottom.set_yticklabels(("spikes, floats", "spikes, integers"))
    figure.tight_layout()
    _save(figure, "spikes.svg")


if __name__ == "__main__":
    sys.exit(main())
