"""Export a feed-forward network to the nodes of a float graph."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from torch import Tensor, nn

from neurossm import graph as g
from neurossm.arrays import ComplexArray, FloatArray
from neurossm.models.feedforward import Feedforward, Weighted
from neurossm.models.network import UINT8_SCALE
from neurossm.models.neurons import AdLIFModule, NeuronModule, ResonateFireModule


def feedforward_nodes(model: Feedforward) -> Iterator[g.Node]:
    """Yield the nodes; the readout's leaky integrators are an SSM of one real mode each."""
    spec = model.config.input
    scale = UINT8_SCALE if spec.kind == "uint8" else 1.0
    yield g.InputNode("input", (), spec.kind, spec.size, spec.low, spec.high, scale)
    name = "input"
    for index, (layer, neuron) in enumerate(zip(model.layers, model.neurons, strict=True)):
        assert isinstance(layer, Weighted)
        assert isinstance(neuron, NeuronModule)
        where = f"layers.{index}"
        for node in _weighted(layer, where, name):
            yield node
            name = node.name
        yield (spiking := _neuron(neuron, f"{where}.spike", name, where))
        name = spiking.name
    for node in _weighted(model.readout, "readout", name):
        yield node
        name = node.name
    yield _integrator(array(model.readout_decay), name)
    yield g.SoftmaxNode("readout.softmax", ("readout.potential",), layer="readout")
    yield g.MeanNode("mean", ("readout.softmax",))
    classes = model.config.classes
    yield g.LinearNode("decoder", ("mean",), np.eye(classes), np.zeros(classes))


def _weighted(layer: Weighted, where: str, source: str) -> Iterator[g.Node]:
    linear = layer.linear
    name = f"{where}.linear"
    yield g.LinearNode(name, (source,), array(linear.weight), array(linear.bias), layer=where)
    if isinstance(layer.norm, nn.BatchNorm1d):
        norm = layer.norm
        assert norm.running_mean is not None
        assert norm.running_var is not None
        statistics = array(norm.running_mean), array(norm.running_var)
        affine = array(norm.weight), array(norm.bias)
        node = g.BatchNormNode(f"{where}.norm", (name,), *statistics, *affine, norm.eps)
        yield replace(node, layer=where)


def _neuron(neuron: NeuronModule, name: str, source: str, layer: str) -> g.Node:
    gain, threshold = array(neuron.gain), array(neuron.threshold)
    if isinstance(neuron, AdLIFModule):
        names = ("decay", "adaptation_decay", "sensitivity", "jump", "reset")
        fields = {field: array(getattr(neuron, field)) for field in names}
        return g.AdLIFNode(name, (source,), gain, threshold, **fields, layer=layer)
    assert isinstance(neuron, ResonateFireModule)
    pole, reset = _complex(neuron.pole), _complex(neuron.reset)
    return g.ResonateFireNode(name, (source,), gain, threshold, pole, reset, layer=layer)


def _integrator(decay: FloatArray, source: str) -> g.SSMNode:
    pole = decay[:, None].astype(np.complex128)
    half = np.full_like(pole, 0.5)  # y is twice the real part
    fields = (pole, 1 - pole, half, np.zeros(len(decay)))
    return g.SSMNode("readout.potential", (source,), *fields, layer="readout")


def _complex(values: Tensor) -> ComplexArray:
    parts = array(values)
    return parts[:, 0] + 1j * parts[:, 1]


def array(values: Tensor) -> FloatArray:
    """Return a tensor in float64."""
    made: FloatArray = values.detach().cpu().double().numpy()
    return made
