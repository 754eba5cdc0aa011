"""From programs and graphs to processes: grouping, pipeline depth, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest

from neurossm.errors import InputError, LimitError, UnsupportedError
from neurossm.graph import AffineNode, Graph, MeanNode
from neurossm.lava import plan_graph, plan_program
from neurossm.lava.unit import unit_of
from neurossm.place.latency import latency_steps


@pytest.fixture(scope="module")
def program(networks):
    """Return a prenorm network of two blocks, 4 channels each."""
    return networks.random_program(3, blocks=2)


def with_op(program, name, **fields):
    """Replace fields of one operation; bounds that would no longer hold are widened."""
    ops = {}
    for op in program.ops:
        op = replace(op, **fields) if op.name == name else op
        reached = op.proof(*(ops[source].out.interval for source in op.inputs))
        low, high = np.minimum(op.out.low, reached.low), np.maximum(op.out.high, reached.high)
        out = replace(op.out, low=low, high=high, proved=reached.proved)
        ops[op.name] = replace(op, out=out)
    return program.with_ops(ops.values())


def kinds(plan):
    return [(stage.kind, stage.name, stage.depth) for stage in plan.stages]


def members(plan, name):
    (stage,) = [stage for stage in plan.stages if stage.name == name]
    return [member.name for member in stage.members]


def test_what_lies_between_matrices_is_one_process(program):
    plan = plan_program(program)
    assert kinds(plan) == [
        ("Player", "input", 0),
        ("Dense", "encoder.sum", 0),
        ("Neuron", "encoder", 1),
        ("Dense", "blocks.0.value.sum", 1),
        ("Neuron", "blocks.0.value", 2),
        ("Dense", "blocks.1.value.sum", 2),
        ("Neuron", "blocks.1.value", 3),
        ("Readout", "decoder", 3),
    ]
    assert members(plan, "encoder") == [
        "encoder",
        *(f"blocks.0.{n}" for n in ("norm", "ssm", "spike")),
    ]
    assert members(plan, "blocks.0.value.sum") == ["blocks.0.value.sum", "blocks.0.gate.sum"]
    assert members(plan, "blocks.0.value") == [
        *(f"blocks.0.{n}" for n in ("value", "gate", "sigmoid", "glu", "add")),
        *(f"blocks.1.{n}" for n in ("norm", "ssm", "spike")),
    ]
    assert plan.latency_steps == 3
    assert plan.tag == "fixed_pt"


@pytest.mark.parametrize("kind", ["uint8", "tokens"])
@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("mixer", ["binary", "gsu"])
def test_the_compiler_knows_the_latency(networks, kind, norm, mixer):
    program = networks.random_program(3, blocks=3, kind=kind, norm=norm, inputs=2, mixer=mixer)
    assert plan_program(program).latency_steps == latency_steps(program)


def test_an_embedding_adds_no_latency(networks):
    plan = plan_program(networks.random_program(3, blocks=2, kind="tokens", inputs=5))
    assert plan.latency_steps == 2
    assert kinds(plan)[:2] == [("Player", "input", 0), ("Neuron", "encoder.sum", 0)]
    assert members(plan, "encoder.sum")[:2] == ["encoder.sum", "encoder"]


def widths(plan):
    return {stage.name: stage.message_bits for stage in plan.stages if stage.kind == "Dense"}


def test_spikes_travel_as_single_bits_and_data_do_not(program):
    assert [*widths(plan_program(program)).values()] == [program.input.out.bits, 0, 0]


def test_branches_of_two_matrices_and_the_path_around_them_meet(networks):
    plan = plan_program(networks.random_program(3, blocks=2, mixer="gsu"))
    assert kinds(plan) == [
        ("Player", "input", 0),
        ("Dense", "encoder.sum", 0),
        ("Neuron", "encoder", 1),
        ("Dense", "blocks.0.first.sum", 1),
        ("Dense", "blocks.0.second", 1),
        ("Neuron", "blocks.0.first", 2),
        ("Dense", "blocks.1.first.sum", 2),
        ("Dense", "blocks.1.second", 2),
        ("Neuron", "blocks.1.first", 3),
        ("Readout", "decoder", 3),
    ]
    stages = {stage.name: stage for stage in plan.stages}
    unit = stages["blocks.0.first"]
    assert unit.wires == {
        "a_in": ("blocks.0.first.sum", "a_out"),
        "b_in": ("blocks.0.second", "a_out"),
        "c_in": ("encoder", "y_out"),
    }
    assert {port: inlet.delay for port, inlet in unit.unit.inlets.items()} == {
        "a_in": 0,
        "b_in": 0,
        "c_in": 1,
    }
    assert stages["encoder"].unit.outlets == {
        "y_out": "encoder",
        "y2_out": "blocks.0.ssm.graded",
        "s_out": "blocks.0.ternary",
    }
    # nobody but the ternary weights reads the graded values
    assert stages["blocks.0.first.sum"].wires == {"s_in": ("encoder", "s_out")}
    assert stages["blocks.0.second"].wires == {"s_in": ("encoder", "y2_out")}


@pytest.mark.parametrize("bits", [14, 27])
def test_ternary_spikes_travel_as_two_bits_and_graded_values_in_their_width(networks, bits):
    program = networks.random_program(3, blocks=1, mixer="gsu")
    graded = replace(program["blocks.0.ssm.graded"].out, bits=bits)
    plan = plan_program(with_op(program, "blocks.0.ssm.graded", out=graded))
    assert widths(plan)["blocks.0.first.sum"] == 2
    assert widths(plan)["blocks.0.second"] == bits


def test_graded_values_that_could_wrap_the_accumulator_are_refused(networks):
    program = networks.random_program(3, blocks=1, mixer="gsu", channels=4)
    out = program["blocks.0.ssm.graded"].out
    second = np.ones((4, 4), int)
    # 2 * 4 channels * magnitude must stay below 2^31: 2^28 is one too many
    for largest, fits in ((2**28 - 1, True), (2**28, False)):
        high = np.full(4, largest)
        wide = with_op(
            program, "blocks.0.ssm.graded", out=replace(out, bits=30, low=-high, high=high)
        )
        wide = with_op(wide, "blocks.0.second", weight=second)
        if fits:
            plan_program(wide)
            continue
        with pytest.raises(LimitError, match=r"second: sums can reach 2147483648, which wraps"):
            plan_program(wide)


def test_the_order_of_independent_nodes_does_not_matter(networks):
    graph = networks.random_graph(0, blocks=1, mixer="gsu", norm="none")
    names = [node.name for node in graph.nodes]
    ternary, second = names.index("blocks.0.ternary"), names.index("blocks.0.second")
    nodes = list(graph.nodes)
    nodes.insert(ternary, nodes.pop(second))  # the graded values' reader before the spikes
    changed, before = plan_graph(Graph(tuple(nodes))), plan_graph(graph)
    for plan in (changed, before):  # the second matrix may come first, and name its neurons
        assert [(kind, depth) for kind, _, depth in kinds(plan)] == [
            ("Player", 0),
            ("Dense", 0),
            ("Neuron", 1),
            ("Dense", 1),
            ("Dense", 1),
            ("Neuron", 2),
            ("Readout", 2),
        ]


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("mixer", ["binary", "gsu"])
def test_every_tensor_of_a_program_can_be_recorded(networks, norm, mixer):
    program = networks.random_program(4, norm=norm, channels=3, modes=2, mixer=mixer)
    plan = plan_program(program)
    for name in tuple(program.recordings):
        stage = plan.recorder(name)
        wanted = (3, 2) if ":state_" in name else (1,) if name == "input" else (3,)
        assert stage.recorded[name] == wanted, name


def test_an_unknown_tensor_is_refused(program):
    with pytest.raises(InputError, match="no tensor 'blocks.9.ssm'"):
        plan_program(program).recorder("blocks.9.ssm")


@pytest.mark.parametrize("norm", ["pre", "post", "none"])
@pytest.mark.parametrize("mixer", ["binary", "gsu"])
def test_graphs_and_programs_become_the_same_processes(networks, norm, mixer):
    graph = plan_graph(networks.random_graph(0, norm=norm, mixer=mixer))
    program = plan_program(networks.random_program(0, norm=norm, mixer=mixer))
    assert [kind for kind, _, _ in kinds(graph)] == [kind for kind, _, _ in kinds(program)]
    assert graph.latency_steps == program.latency_steps


def test_a_matrix_that_could_wrap_the_accumulator_is_refused(program):
    # channel 0 of the encoder: 2 * 127 * 2^23 < 2^31, 2 * 128 * 2^23 = 2^31
    edge = replace(program.input.out, bits=25, high=np.array([1 << 23]), low=np.array([0]))
    start = with_op(program, "input", out=edge)
    weight = np.zeros((4, 1), int)
    weight[0] = 127
    plan_program(with_op(start, "encoder.sum", weight=weight))
    weight[0] = -128
    with pytest.raises(LimitError, match="encoder.sum: sums can reach 2147483648, which wraps"):
        plan_program(with_op(start, "encoder.sum", weight=weight))


def test_a_wider_weight_than_dense_keeps_is_refused(program):
    weight = program["encoder.sum"].weight.copy()
    weight[0] = 128
    with pytest.raises(LimitError, match="encoder.sum: weight 128 does not fit the 8 bits"):
        plan_program(with_op(program, "encoder.sum", weight=weight))


def test_a_wider_message_than_lava_sends_is_refused(program):
    wide = replace(program["blocks.0.add"].out, bits=33)
    with pytest.raises(LimitError, match="blocks.0.add: 33 bits, but Lava's messages have 32"):
        plan_program(with_op(program, "blocks.0.add", out=wide))


def test_a_graph_of_several_means_is_refused(networks):
    graph = networks.random_graph(0, blocks=1, norm="none")
    nodes = [*graph.nodes[:-2], MeanNode("other", ("encoder",)), *graph.nodes[-2:]]
    with pytest.raises(UnsupportedError, match="decoder: Lava runs graphs that end in one pool"):
        plan_graph(Graph(tuple(nodes)))


def test_paths_of_any_length_wait_for_each_other(networks):
    program = networks.random_program(0, blocks=2)
    (last,) = [op for op in program.ops if op.name == "blocks.1.add"]
    skipping = tuple("encoder" if name == "blocks.0.add" else name for name in last.inputs)
    plan = plan_program(with_op(program, "blocks.1.add", inputs=skipping))
    stages = {stage.name: stage for stage in plan.stages}
    inlets = stages["blocks.1.value"].unit.inlets
    delays = {name: inlet.delay for inlet in inlets.values() for name in inlet.tensors}
    assert delays == {"blocks.1.value.sum": 0, "blocks.1.gate.sum": 0, "encoder": 2}


def test_what_only_matrices_read_is_recorded_all_the_same(networks):
    program = networks.random_program(0, blocks=1)
    first = program["encoder.sum"]
    between = replace(first, name="between", inputs=("encoder.sum",), weight=np.eye(4, dtype=int))
    at = [op.name for op in program.ops].index("encoder")
    encoder = replace(program["encoder"], inputs=("between",))
    ops = (*program.ops[:at], between, encoder, *program.ops[at + 1 :])
    plan = plan_program(program.with_ops(ops))
    assert plan.recorder("encoder.sum").name == "encoder.sum:recorder"
    assert plan.recorder("between").name == "encoder"
    assert plan.latency_steps == 3


def test_variables_of_nodes_are_named_by_the_type_in_files() -> None:
    first = AffineNode("first", ("x",), [2.0], [0.0])
    second = AffineNode("second", ("first",), [3.0], [0.0])
    unit = unit_of([first, second], channels=1)
    assert unit.variable("first", "scale") == "affine1_scale"
    assert unit.variable("second", "shift") == "affine2_shift"
