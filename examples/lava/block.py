"""The small network that these examples use: one block of Binary S4D, with random weights."""

from __future__ import annotations

import numpy as np

from neurossm.compile import compile_model
from neurossm.graph import Graph
from neurossm.graph import nodes as n
from neurossm.program import Program

CHANNELS, MODES, CLASSES = 4, 3, 2


def small_program(low: float = -1.0, high: float = 1.0) -> Program:
    """Compile a block that reads one value in [low, high] per step."""
    rng = np.random.default_rng(4)
    dt = np.array([0.05, 0.1, 0.2, 0.4])[:, None]
    A = -0.5 + 1j * np.pi * np.arange(MODES)
    A_bar = np.exp(dt * A)
    C = rng.normal(size=A_bar.shape) + 1j * rng.normal(size=A_bar.shape)
    square, zeros = (CHANNELS, CHANNELS), np.zeros(CHANNELS)
    nodes = (
        n.InputNode("input", (), "float", 1, low, high, 1.0),
        n.LinearNode("encoder", ("input",), rng.normal(size=(CHANNELS, 1)), zeros),
        n.SSMNode("ssm", ("encoder",), A_bar, (A_bar - 1) / A, C, zeros, layer="block"),
        n.SpikeNode("spike", ("ssm",), zeros, layer="block"),
        n.LinearNode("value", ("spike",), rng.normal(size=square), zeros, layer="block"),
        n.LinearNode("gate", ("spike",), rng.normal(size=square), zeros, layer="block"),
        n.SigmoidNode("sigmoid", ("gate",), layer="block"),
        n.ProductNode("glu", ("value", "sigmoid"), layer="block"),
        n.AddNode("add", ("glu", "encoder"), layer="block"),
        n.MeanNode("mean", ("add",)),
        n.LinearNode("decoder", ("mean",), rng.normal(size=(CLASSES, CHANNELS)), np.zeros(CLASSES)),
    )
    return compile_model(Graph(nodes))
