"""Targets that know the maximum of a layer's channels keep a GSU's threshold per step."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from neurossm import graph as g
from neurossm import program as p
from neurossm import registry
from neurossm.compile import CompileOptions, compile_model
from neurossm.compile.emit.pointwise import integer_factor
from neurossm.cost import profile
from neurossm.errors import InputError, LimitError, UnsupportedError
from neurossm.graph.evaluate import evaluate
from neurossm.hw_profiles import load_profile
from neurossm.parity.reproduce import smallest_case
from neurossm.place.groups import neuron_groups
from neurossm.place.placement import place
from neurossm.program import Program, reference


@pytest.fixture(scope="module")
def dynamic(networks: ModuleType) -> g.Graph:
    graph = networks.random_graph(0, mixer="gsu", channels=6, modes=3)
    nodes = (
        replace(node, threshold=None) if isinstance(node, g.TernaryNode) else node
        for node in graph.nodes
    )
    found: g.Graph = graph.with_nodes(nodes)
    return found


@pytest.fixture(scope="module")
def program(dynamic: g.Graph) -> Program:
    return compile_model(dynamic, "cpu")  # needs no data


def test_the_program_has_the_thresholds_of_the_graph(
    networks: ModuleType, dynamic: g.Graph, program: Program
) -> None:
    x = networks.random_data(dynamic.input, 0, batch=4, steps=60)
    spiking = [op.name for op in program.ops if isinstance(op, p.PeakTernary)]
    assert spiking == ["blocks.0.ternary", "blocks.1.ternary"]
    assert program.approximations[0].name == "gelu"
    assert len(program.approximations) == 1
    found, floats = program.run(x, "reference", record=spiking), evaluate(dynamic, x, spiking)
    for name, least in zip(spiking, (0.999, 0.98), strict=True):  # residuals differ by roundings
        assert np.mean(found.tensors[name] == floats[name]) > least
        assert 0.1 < np.abs(found.tensors[name]).mean() < 0.95
    fast = program.run(x, "fast", record=tuple(program.recordings))
    reference = program.run(x, "reference", record=tuple(program.recordings))
    for name, values in reference.tensors.items():
        np.testing.assert_array_equal(fast.tensors[name], values, name)
    np.testing.assert_array_equal(program.run(x, "fast").logits, reference.logits)


def test_a_scale_asks_for_static_thresholds(networks: ModuleType, dynamic: g.Graph) -> None:
    x = networks.random_data(dynamic.input, 0)
    static = compile_model(dynamic, "cpu", CompileOptions(threshold_scale=1.0), x)
    assert not any(isinstance(op, p.PeakTernary) for op in static.ops)
    with pytest.raises(InputError, match=r"--calibration .* such as cpu"):
        compile_model(dynamic, "loihi2-sim")


def test_channels_of_several_exponents_are_brought_to_one() -> None:
    """The largest of them is one number, in one unit."""
    graph = g.Graph(
        (
            g.InputNode("input", (), "float", 3, -1.0, 1.0, 1.0),
            g.LinearNode("encoder", ("input",), np.eye(3), np.zeros(3)),
            g.LinearNode("again", ("encoder",), np.diag([1.0, 2.0, 8.0]), np.zeros(3)),
            g.TernaryNode("t", ("again",), None, 0.25),
            g.MeanNode("mean", ("t",)),
            g.LinearNode("decoder", ("mean",), np.eye(3), np.zeros(3)),
        )
    )
    x = np.random.default_rng(0).uniform(-1, 1, (2, 50, 3))
    compiled = compile_model(graph, "cpu")
    found = compiled.run(x, "reference", record=["t"]).tensors["t"]
    assert np.mean(found == evaluate(graph, x, ["t"])["t"]) > 0.98
    assert len(set(np.abs(found).sum(axis=2).flat)) > 1


@pytest.mark.parametrize(
    ("factor", "bits", "wanted"),
    # 0.15 * 2^17 = 19660.8 is the last below 2^15; more than all of the largest is as good as all
    [(0.15, 16, (19661, 17)), (0.5, 16, (1, 1)), (9.0, 16, (1, 0)), (0.0, 16, (0, 0))],
)
def test_factors(factor: float, bits: int, wanted: tuple[int, int]) -> None:
    assert integer_factor(factor, bits) == wanted


def test_one_neuron_finds_the_largest_and_one_core_does_all(program: Program) -> None:
    groups = {group.name: group for group in neuron_groups(program, 32)}
    peak = groups["blocks.0.ternary:statistics"]
    # 6 values of 4 bytes arrive; a product and 6 comparisons; one number goes to 6 neurons
    assert (peak.neurons, peak.state_bytes, peak.operations) == (1, 24, 7)
    x = np.full((2, 5, 1), 90, np.uint8)
    cost = profile(program, x, engine="reference")
    assert cost.placement is not None
    assert (cost.placement.cores_used, cost.placement.chips_used, cost.imbalance) == (1, 1, 1.0)
    assert {(core.chip, core.core) for core in cost.placement.cores} == {(0, 0)}
    assert cost.energy.is_proxy
    assert [other.hw for other in cost.others] == ["spinnaker2"]  # not its own prices once more
    assert cost.energy.label == "proxy (45 nm CMOS arithmetic)"


def test_a_target_that_knows_no_maximum_cannot_have_it(program: Program) -> None:
    with pytest.raises(UnsupportedError, match=r"blocks.0.ternary: .* 'loihi2-sim' does not know"):
        place(program, load_profile("loihi2-sim"))


def test_one_core_has_one_memory(program: Program) -> None:
    profile = load_profile("cpu")
    groups = neuron_groups(program, 32)
    needed = sum(group.neurons * group.bytes_per_neuron + group.shared_bytes for group in groups)
    limits = replace(
        profile.compile_limits(), core_memory_bytes=needed, synapse_memory_bytes=needed
    )
    assert place(program, replace(profile, limits=limits)).cores_used == 1
    with pytest.raises(LimitError, match=f"core_memory_bytes = {needed}, 1 more than the"):
        place(program, replace(profile, limits=replace(limits, core_memory_bytes=needed - 1)))


def test_a_difference_keeps_all_channels_that_are_compared(
    monkeypatch: pytest.MonkeyPatch, networks: ModuleType, program: Program
) -> None:
    whole = p.PeakTernary.step

    def step(self, state, *inputs, tally):  # type: ignore[no-untyped-def]
        state, y = whole(self, state, *inputs, tally=tally)
        return state, -y

    def run(program, data, engine="fast", record=(), **_):  # type: ignore[no-untyped-def]
        with monkeypatch.context() as patch:
            if engine == "fast":
                patch.setattr(p.PeakTernary, "step", step)
            return reference.run(program, data, record)

    monkeypatch.setattr(registry, "run", run)
    data = networks.random_data(program.input, 1, batch=1, steps=9)
    case = smallest_case(program, data, "fast", "reference")
    assert case is not None
    assert [type(op).__name__ for op in case.program.ops] == ["Input", "PeakTernary", "Readout"]
    assert case.program.ops[1].out.channels == 6
