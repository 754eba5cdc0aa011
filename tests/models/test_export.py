from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from neurossm.errors import InputError
from neurossm.graph import Graph, LinearNode, SSMNode, TernaryNode
from neurossm.graph.evaluate import evaluate
from neurossm.models import InputSpec, Network, save
from neurossm.models.export import export

Make = Callable[..., Network]
FORMS = [
    {"layer": "binary-s4d"},
    {"layer": "gsu", "threshold": "dynamic"},
    {"layer": "gsu", "threshold": "static", "gate_norm": "batch", "activation": "none"},
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("norm", "prenorm"), [*product(("batch", "layer", "none"), (True, False))])
@pytest.mark.parametrize(
    "spec",
    [InputSpec.uint8(2), InputSpec.tokens(7), InputSpec.real(3, -1, 2)],
    ids=lambda spec: spec.kind,
)
def test_graph_computes_what_the_model_computes(
    make_network: Make,
    random_input: Callable[..., Tensor],
    form: dict[str, Any],
    norm: str,
    prenorm: bool,
    spec: InputSpec,
) -> None:
    model = make_network(input=spec, norm=norm, prenorm=prenorm, n_ssm=2, **form)
    x = random_input(model.config, 3, 40, torch.float64)
    found = evaluate(export(model), x.numpy())["decoder"]
    np.testing.assert_allclose(found.reshape(3, -1), model(x).detach().numpy(), atol=1e-11)


@pytest.mark.parametrize("pool", ["mean", "last", "max"])
def test_a_pool_is_over_the_valid_steps_of_each_sample(make_network: Make, pool: str) -> None:
    """In the model (all at once, and step by step) and in its graph, as by its definition."""
    model = make_network(pool=pool)
    x = torch.randint(0, 256, (3, 20, 1), dtype=torch.uint8)
    lengths = torch.tensor([20, 1, 7])
    graph = evaluate(export(model), x.numpy(), lengths=lengths)["decoder"]
    with torch.no_grad():
        whole = model(x, lengths).numpy()
        for i, n in enumerate(lengths.tolist()):
            features = model.features(x[i : i + 1, :n])[0]  # (H, n)
            kept = {"mean": features.mean(1), "last": features[:, -1], "max": features.amax(1)}
            expected = model.decoder(kept[pool]).numpy()
            np.testing.assert_allclose(model(x[i : i + 1, :n])[0].numpy(), expected, atol=1e-12)
            np.testing.assert_allclose(whole[i], expected, atol=1e-11)
            np.testing.assert_allclose(graph[i], expected, atol=1e-11)
            state = model.initial_state(1)
            for t in range(n):
                stepped, state = model.step(x[i : i + 1, t], state)
            np.testing.assert_allclose(stepped[0].numpy(), expected, atol=1e-11)


def test_names_of_a_prenorm_binary_s4d(make_network: Make) -> None:
    graph = export(make_network(n_layers=1))
    reads = {node.name: node.inputs for node in graph.nodes}
    assert reads == {
        "input": (),
        "encoder": ("input",),
        "blocks.0.norm": ("encoder",),
        "blocks.0.ssm": ("blocks.0.norm",),
        "blocks.0.spike": ("blocks.0.ssm",),
        "blocks.0.value": ("blocks.0.spike",),
        "blocks.0.gate": ("blocks.0.spike",),
        "blocks.0.sigmoid": ("blocks.0.gate",),
        "blocks.0.glu": ("blocks.0.value", "blocks.0.sigmoid"),
        "blocks.0.add": ("blocks.0.glu", "encoder"),
        "norm": ("blocks.0.add",),
        "mean": ("norm",),
        "decoder": ("mean",),
    }


def test_names_of_a_postnorm_gsu(make_network: Make) -> None:
    graph = export(make_network(n_layers=1, layer="gsu", prenorm=False))
    reads = {node.name: node.inputs for node in graph.nodes}
    assert reads == {
        "input": (),
        "encoder": ("input",),
        "blocks.0.ssm": ("encoder",),
        "blocks.0.ternary": ("blocks.0.ssm",),
        "blocks.0.first": ("blocks.0.ternary",),
        "blocks.0.second": ("blocks.0.ssm",),
        "blocks.0.product": ("blocks.0.first", "blocks.0.second"),
        "blocks.0.layernorm": ("blocks.0.product",),
        "blocks.0.gelu": ("blocks.0.layernorm",),
        "blocks.0.add": ("blocks.0.gelu", "encoder"),
        "blocks.0.norm": ("blocks.0.add",),
        "mean": ("blocks.0.norm",),
        "decoder": ("mean",),
    }


def test_gsu_arrays(make_network: Make) -> None:
    model = make_network(n_layers=1, layer="gsu", threshold="static")
    mixer = model.blocks[0].mixer
    graph = export(model)
    first, second = graph["blocks.0.first"], graph["blocks.0.second"]
    ternary = graph["blocks.0.ternary"]
    assert isinstance(first, LinearNode)
    assert isinstance(second, LinearNode)
    assert isinstance(ternary, TernaryNode)
    weight = mixer.weight.detach().numpy()
    np.testing.assert_array_equal(first.weight, weight.T)
    large = np.abs(weight) > 0.15 * np.abs(weight).max()
    np.testing.assert_array_equal(second.weight, (np.sign(weight) * large).T)
    np.testing.assert_array_equal(second.bias, 0)
    assert ternary.threshold is not None
    np.testing.assert_array_equal(ternary.threshold, np.full(6, float(mixer.threshold.running)))
    dynamic = export(make_network(n_layers=1, layer="gsu", threshold="dynamic"))
    ternary = dynamic["blocks.0.ternary"]
    assert isinstance(ternary, TernaryNode)
    assert ternary.threshold is None
    assert ternary.factor == 0.15


def test_float32_weights_are_discretised_in_double_precision(make_network: Make) -> None:
    model = make_network(n_layers=1, dtype=torch.float32)
    ssm = export(model)["blocks.0.ssm"]
    assert isinstance(ssm, SSMNode)
    layer = model.blocks[0].mixer.ssm
    A = -np.exp(layer.A_real_log.detach().double().numpy()) + 1j * layer.A_imag.detach().numpy()
    dt = np.exp(layer.log_dt.detach().double().numpy())[:, None]
    np.testing.assert_allclose(ssm.A_bar, np.exp(dt * A), rtol=1e-14)


def test_provenance_and_file(make_network: Make, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    save(path, make_network(), training={"seed": 3})
    graph = export(path)
    assert graph.provenance["source"] == "model.pt"
    assert len(graph.provenance["sha256"]) == 64
    assert graph.provenance["config"]["layer"] == "binary-s4d"
    assert graph.provenance["training"] == {"seed": 3}
    graph.save(tmp_path / "model.h5")
    assert Graph.load(tmp_path / "model.h5").same_as(graph)


def test_a_pole_outside_the_unit_circle(make_network: Make) -> None:
    model = make_network(discretization="bilinear")
    with torch.no_grad():
        model.blocks[1].mixer.ssm.A_real_log.fill_(
            -800.0
        )  # exp(-800) = 0: A_bar = 1 where Im A = 0
    with pytest.raises(InputError, match=r"blocks\.1\.ssm: pole of channel"):
        export(model)
