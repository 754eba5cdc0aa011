"""GSU networks on Lava: every configuration of the models, in integers and in real numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from neurossm import lava
from neurossm.compile import CompileOptions, Widths, compile_model
from neurossm.compile.approximate import approximate
from neurossm.errors import LimitError
from neurossm.graph import Graph, LinearNode, PiecewiseLinearNode
from neurossm.graph.evaluate import evaluate
from neurossm.models import InputSpec, ModelConfig, Network
from neurossm.models.export import export
from neurossm.program import Dense
from neurossm.program.certificate import derive

EXAMPLES = 50
SETTINGS = settings(
    max_examples=EXAMPLES // 2,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would take many minutes
)
INPUTS = {
    "uint8": InputSpec.uint8(1),
    "tokens": InputSpec.tokens(5),
    "float": InputSpec.real(3, -1.5, 2.25),
}


def graph_of(seed: int, kind: str, scale: float = 1.0, **values: Any) -> Graph:
    """Return the graph of a random model whose norms and thresholds have seen some data.

    `scale` multiplies the encoder, and so the residual stream where no norm follows.
    """
    sizes = {"classes": 3, "n_layers": 2, "d_model": 5, "d_state": 4, "dt_max": 0.5}
    config = ModelConfig(layer="gsu", input=INPUTS[kind], **(sizes | values))
    torch.manual_seed(seed)
    model = Network(config).double()
    with torch.no_grad():
        for parameter in model.encoder.parameters():
            parameter *= scale
        for name, parameter in model.named_parameters():
            if name.endswith(("norm.weight", "norm.bias")):
                parameter += 0.3 * torch.randn_like(parameter)
        model.train()
        for _ in range(4):
            model(torch.from_numpy(data_of(config.input, int(torch.randint(1 << 20, ())))))
    return export(model.eval())


def data_of(spec: InputSpec, seed: int, batch: int = 3, steps: int = 12) -> np.ndarray:
    """Return raw data, (B, L) tokens or (B, L, size)."""
    rng = np.random.default_rng(seed)
    if spec.kind == "tokens":
        return rng.integers(0, spec.size, (batch, steps))
    share = rng.uniform(size=(batch, steps, spec.size))
    if spec.kind == "uint8":
        return np.floor(share * 255.999).astype(np.uint8)
    return spec.low + share * (spec.high - spec.low)


@st.composite
def shapes(draw: Any) -> dict[str, Any]:
    """Draw a shape for a random program; 1 and odd numbers are likely."""
    return {
        "channels": draw(st.sampled_from([1, 2, 3, 5, 7])),
        "modes": draw(st.sampled_from([1, 2, 3])),
        "blocks": draw(st.sampled_from([1, 1, 2, 3])),
        "classes": draw(st.sampled_from([1, 3])),
        "inputs": draw(st.sampled_from([1, 3])),
        "kind": draw(st.sampled_from(["uint8", "tokens", "float"])),
        "norm": draw(st.sampled_from(["pre", "post", "none"])),
    }


@st.composite
def configurations(draw: Any) -> dict[str, Any]:
    """Draw any configuration of a GSU model."""
    channels = draw(st.sampled_from([1, 2, 3, 5, 7]))
    return {
        "d_model": channels,
        "d_state": 2 * draw(st.sampled_from([1, 2, 3])),
        "n_layers": draw(st.sampled_from([1, 1, 2, 3])),
        "classes": draw(st.sampled_from([1, 3])),
        "n_ssm": draw(st.sampled_from([None, 1])),
        "initialisation": draw(st.sampled_from(["lin", "inv"])),
        "discretization": draw(st.sampled_from(["zoh", "bilinear"])),
        "norm": draw(st.sampled_from(["batch", "layer", "none"])),
        "prenorm": draw(st.booleans()),
        "final_norm": draw(st.booleans()),
        "threshold": draw(st.sampled_from(["static", "dynamic"])),
        "gate_norm": draw(st.sampled_from(["layer", "batch"])),
        "activation": draw(st.sampled_from(["gelu", "none"])),
        "kind": draw(st.sampled_from(["uint8", "tokens", "float"])),
        "scale": draw(st.sampled_from([1.0, 1.0, 1e-3, 1e6])),
    }


@st.composite
def compilations(draw: Any) -> CompileOptions:
    """Draw widths and scaling; calibrated, with no headroom, saturates."""
    widths = Widths(
        weight=draw(st.sampled_from([4, 8])),
        pole=draw(st.sampled_from([10, 16])),
        state=draw(st.sampled_from([20, 24])),
        graded=draw(st.sampled_from([10, 20, 24])),
    )
    scaling = draw(st.sampled_from(["proved", "calibrated"]))
    return CompileOptions(widths=widths, scaling=scaling, headroom_bits=0)


def test_lava_equals_the_reference_on_random_programs(worker, networks, new_tally):
    tally = new_tally()

    @SETTINGS
    @given(seed=st.integers(0, 2**31), shape=shapes(), saturating=st.sampled_from([0.0, 0.3]))
    def check(seed, shape, saturating):
        program = networks.random_program(seed, mixer="gsu", **shape, saturating=saturating)
        data = networks.random_data(program.input, seed + 1, batch=3, steps=12)
        tally.compare(program, data, worker)

    check()
    between = tally.report("random GSU programs")
    assert tally.programs["all"] >= EXAMPLES // 2
    assert tally.programs["saturating"] >= 3
    assert between >= 10
    assert tally.minus_ones >= 100


def test_lava_equals_the_reference_on_compiled_models(worker, new_tally, say):
    tally, seen = new_tally(), Counter()

    @SETTINGS
    @given(seed=st.integers(0, 2**31), how=configurations(), options=compilations())
    def check(seed, how, options):
        graph = graph_of(seed, **how)
        data = data_of(INPUTS[how["kind"]], seed + 1)
        try:  # calibrated on one quiet sample, so that the others go beyond it
            program = compile_model(graph, options=options, calibration=data[:1, :4])
        except LimitError:
            assume(False)
        tally.compare(program, data, worker)
        seen.update(f"{how[name]} {name}" for name in ("norm", "gate_norm", "activation"))
        weights = [op.weight for op in program.ops if isinstance(op, Dense)]
        seen["odd weights"] += any((weight % 2).any() for weight in weights)

    check()
    between = tally.report("compiled GSU models")
    say(f"of these {dict(seen)}")
    assert tally.programs["all"] >= EXAMPLES // 2
    assert tally.programs["saturating"] >= 3
    assert between >= 10
    assert tally.minus_ones >= 100
    assert seen["odd weights"] >= EXAMPLES // 4


@pytest.mark.parametrize("channels", [1, 8])
def test_values_as_wide_as_the_accumulator_admits(worker, networks, new_tally, channels):
    # rows of `second` are sums of at most so many magnitudes: 2 * channels * 2^(bits - 1) < 2^31
    bits = 30 - (channels - 1).bit_length()
    program = networks.random_program(8, mixer="gsu", channels=channels, blocks=1)
    graded, second = program["blocks.0.ssm.graded"], program["blocks.0.second"]
    left = bits - 1 - int(graded.out.interval.largest().max()).bit_length()
    ternary, product = program["blocks.0.ternary"], program["blocks.0.product"]
    new = (
        replace(graded, shift=graded.shift - left, out=replace(graded.out, bits=bits)),
        replace(ternary, threshold=ternary.threshold << left),
        replace(second, out=replace(second.out, bits=31)),
        replace(product, shift=product.shift + left),
    )
    by_name = {op.name: op for op in new}
    program = program.with_ops(derive(by_name.get(op.name, op) for op in program.ops))
    assert program[graded.name].out.interval.largest().max() >= 1 << (bits - 2)
    tally = new_tally()
    tally.compare(program, networks.random_data(program.input, 5, batch=3, steps=12), worker)
    assert tally.programs["saturating"] == 0


CONFIGURATIONS = [
    {},
    {"prenorm": False, "kind": "tokens"},
    {"norm": "layer", "kind": "float", "threshold": "dynamic"},
    {"norm": "layer", "prenorm": False, "gate_norm": "batch", "activation": "none"},
    {"norm": "none", "n_ssm": 1, "discretization": "bilinear", "activation": "none"},
    {"scale": 1e6, "norm": "none", "d_model": 3},
    {"d_model": 1, "d_state": 2, "classes": 1, "threshold": "dynamic", "gate_norm": "batch"},
]


@pytest.mark.parametrize("how", CONFIGURATIONS, ids=str)
def test_every_configuration_is_exact(worker, new_tally, how):
    values = {"kind": "uint8", **how}
    data = data_of(INPUTS[values["kind"]], 4)
    program = compile_model(graph_of(3, **values), calibration=data)
    tally = new_tally()
    tally.compare(program, data, worker)
    assert tally.programs["saturating"] == 0
    assert tally.programs["negative exponents"] == ("scale" in how)
    assert tally.minus_ones > 0


@pytest.mark.parametrize("how", CONFIGURATIONS, ids=str)
def test_floating_lava_equals_the_float_graph(worker, how):
    values = {"kind": "uint8", **how}
    graph = graph_of(3, **values)
    compare_floats(graph, data_of(INPUTS[values["kind"]], 4, batch=2, steps=20), worker)


def test_any_weights_can_take_the_graded_values(worker, networks, new_tally):
    graph = networks.random_graph(5, mixer="gsu", channels=5)
    rng = np.random.default_rng(6)
    dense = {
        f"blocks.{i}.second": LinearNode(
            f"blocks.{i}.second", (f"blocks.{i}.ssm",), rng.normal(size=(5, 5)), rng.normal(size=5)
        )
        for i in range(2)
    }
    graph = graph.with_nodes(dense.get(node.name, node) for node in graph.nodes)
    data = networks.random_data(graph.input, 6, batch=2, steps=15)
    compare_floats(graph, data, worker)
    new_tally().compare(compile_model(graph), data, worker)


@pytest.mark.parametrize("mixer", ["binary", "gsu"])
@pytest.mark.parametrize("norm", ["pre", "post"])
def test_layer_norm_in_the_residual_stream(worker, networks, new_tally, mixer, norm):
    graph = networks.random_graph(7, mixer=mixer, norm=norm, layer_norm=True)
    data = networks.random_data(graph.input, 8, batch=2, steps=15)
    compare_floats(graph, data, worker)
    new_tally().compare(compile_model(graph), data, worker)


@pytest.mark.parametrize("mixer", ["binary", "gsu"])
def test_floating_lava_equals_the_graph_with_tables(worker, networks, mixer):
    graph = networks.random_graph(5, mixer=mixer, channels=5)
    tabulated, _ = approximate(graph, CompileOptions())
    assert any(isinstance(node, PiecewiseLinearNode) for node in tabulated.nodes)
    compare_floats(tabulated, networks.random_data(graph.input, 6, batch=2, steps=15), worker)


def compare_floats(graph: Graph, data: np.ndarray, worker: lava.Worker) -> None:
    """Compare every tensor; spikes must be equal."""
    names = [node.name for node in graph.nodes if node.name not in ("mean", "decoder")]
    expected = evaluate(graph, data, record=names)
    got = lava.run_graph(graph, data, record=names, worker=worker)
    assert got.keys() == expected.keys()
    active = graph.channels()["encoder"] == 1  # a dynamic threshold is always exceeded by one
    for name in names:
        scale = max(1.0, np.abs(expected[name]).max())
        np.testing.assert_allclose(got[name], expected[name], rtol=0, atol=1e-11 * scale)
        if name.endswith(("spike", "ternary")):
            assert np.array_equal(got[name], expected[name])
            active |= np.unique(got[name]).size > 1
    np.testing.assert_allclose(got["decoder"], expected["decoder"], rtol=1e-11, atol=1e-11)
    assert active
