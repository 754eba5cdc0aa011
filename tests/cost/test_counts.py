from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields, replace
from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurossm import graph
from neurossm import program as p
from neurossm.cost import KEYS, CostProfile, Counts, profile
from neurossm.naming import layer_in_version_1
from neurossm.program import Program

Build = Callable[..., Program]


@pytest.fixture
def tiny() -> Program:
    """One block of two channels and one mode whose poles are 0, so that `y = u = x`."""
    H = 2
    ones, zeros = np.ones(H, np.int64), np.zeros(H, np.int64)
    flat = np.zeros((H, 1), np.int64)

    def affine(name: str, source: str, gain: int = 1) -> p.Affine:
        return p.Affine(name, (source,), p.unchecked(20, 0, H), gain * ones, zeros, zeros)

    def dense(name: str, source: str, weight: list[list[int]]) -> p.Dense:
        return p.Dense(name, (source,), p.unchecked(31, 0, H), np.array(weight))

    ops: tuple[p.Op, ...] = (
        p.Input("input", (), p.unchecked(9, 0, 1), "uint8", 1, 0.0, 255.0),
        dense("encoder.sum", "input", [[1], [1]]),
        affine("encoder", "encoder.sum"),
        affine("blocks.0.norm", "encoder"),
        p.SSM(
            "blocks.0.ssm",
            ("blocks.0.norm",),
            p.unchecked(24, 0, H),
            a_re=flat,
            a_im=flat,
            pole_shift=8,
            input_shift=flat,
            c_re=flat + 1,
            c_im=flat,
            readout_shift=zeros,
            d=zeros,
            d_shift=zeros,
            state_bits=20,
        ),
        p.Spike("blocks.0.spike", ("blocks.0.ssm",), p.unchecked(2, 0, H), np.array([10, 100])),
        dense("blocks.0.value.sum", "blocks.0.spike", [[3, 0], [5, 7]]),
        affine("blocks.0.value", "blocks.0.value.sum"),
        dense("blocks.0.gate.sum", "blocks.0.spike", [[0, 0], [1, 0]]),
        affine("blocks.0.gate", "blocks.0.gate.sum", gain=0),
        p.Table("blocks.0.sigmoid", ("blocks.0.gate",), p.unchecked(16, 0, H), 0, 4, [0], [1], 0),
        p.Product(
            "blocks.0.glu", ("blocks.0.value", "blocks.0.sigmoid"), p.unchecked(20, 0, H), zeros
        ),
        p.Add("blocks.0.add", ("blocks.0.glu", "encoder"), p.unchecked(20, 0, H)),
        p.Readout(
            "decoder",
            ("blocks.0.add",),
            p.unchecked(32, 0, 1),
            weight=[[1, 2]],
            bias=[0],
            shift=0,
            max_steps=3,
        ),
    )
    nodes = (
        graph.InputNode("input", (), "uint8", 1, 0.0, 255.0, 1.0),
        graph.LinearNode("encoder", ("input",), np.ones((H, 1)), np.zeros(H)),
        graph.AffineNode("blocks.0.norm", ("encoder",), np.ones(H), np.zeros(H)),
        graph.SSMNode(
            "blocks.0.ssm", ("blocks.0.norm",), flat * 0j, flat + 1j, flat + 1j, np.zeros(H)
        ),
        graph.SpikeNode("blocks.0.spike", ("blocks.0.ssm",), np.zeros(H)),
        graph.LinearNode("blocks.0.value", ("blocks.0.spike",), np.ones((H, H)), np.zeros(H)),
        graph.SigmoidNode("blocks.0.sigmoid", ("blocks.0.value",)),
        graph.ProductNode("blocks.0.glu", ("blocks.0.value", "blocks.0.sigmoid")),
        graph.AddNode("blocks.0.add", ("blocks.0.glu", "encoder")),
        graph.MeanNode("mean", ("blocks.0.add",)),
        graph.LinearNode("decoder", ("mean",), np.ones((1, H)), np.zeros(1)),
    )
    ops = tuple(replace(op, layer=layer_in_version_1(op.name)) for op in ops)
    return p.Program(ops, graph.Graph(nodes), "loihi2")


SAMPLE = np.array([[0, 50, 200]], np.uint8)
"""Three steps; channel 0 spikes at 50 and 200, channel 1 at 200."""


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_counts_by_hand(tiny: Program, engine: str) -> None:
    assert profile(tiny, SAMPLE, engine=engine).totals == Counts(
        # spikes of channel 0 meet 2 weights of the value and 1 of the gate, twice; that of
        # channel 1 meets 1 of the value
        Effective_ACs=2 * (2 + 1) + 1,
        # encoder: 2 steps with light, 2 weights; decoder: 2 sums, 2 weights
        Effective_MACs=2 * 2 + 2,
        # encoder 3 steps of 2; value and gate 3 steps of 4; decoder once 2
        Dense=6 + 2 * 12 + 2,
        state_updates=3 * 2,  # steps, channels of one mode
        state_multiplies=3 * 2 * 7,  # 4 of the state, 2 of the readout, d u
        state_adds=3 * 2 * 5,
        # affines of encoder, norm, value, gate, and the product; bias n and the division at the end
        elementwise_multiplies=3 * 2 * 5 + 2,
        # the same affines, threshold, table (offset and one digit), residual, sum over time;
        # bias and half at the end
        elementwise_adds=3 * 2 * (4 + 1 + 2 + 1 + 1) + 2,
        spikes=3,
        # 3 spikes; encoder and residual in the 2 steps with light, 2 channels each; 2 sums
        messages=3 + 4 + 4 + 2,
        # 20 bits of encoder and residual; the sum of 3 values up to 2^19: 20 + 2 + 1 bits
        message_bits=3 * 1 + 4 * 20 + 4 * 20 + 2 * 23,
        unweighted_synops=4 + 4 + 4,  # encoder to SSM and to residual, residual to sum
        # encoder 4 of 6, SSM 3 of 6, mixing 4 of 6, sums 2 of 6, decoder 1 of 1
        neuron_updates_active=4 + 3 + 4 + 2 + 1,
        neuron_updates_idle=2 + 3 + 2 + 4 + 0,
    )


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_graded_values_by_hand(tiny: Program, engine: str) -> None:
    """ReLU in the spike's place: what was an addition is a product of a weight and a value."""
    H, shift = 2, np.zeros(2, np.int64)
    relu = p.Relu("blocks.0.relu", ("blocks.0.ssm",), p.unchecked(24, 0, H), shift)
    relu = replace(relu, layer="blocks.0")
    ops = [relu if isinstance(op, p.Spike) else op for op in tiny.ops]
    ops = [
        replace(
            op, inputs=tuple("blocks.0.relu" if i == "blocks.0.spike" else i for i in op.inputs)
        )
        for op in ops
    ]
    block = profile(p.Program(tuple(ops), tiny.graph, "loihi2"), SAMPLE, engine=engine).layers[
        "blocks.0"
    ]
    assert (block.Effective_ACs, block.spikes) == (0, 0)
    # 50 and 200 in both channels: channel 0 meets 2 weights of the value and 1 of the gate,
    # channel 1 meets 1 of the value
    assert block.Effective_MACs == 2 * (2 + 1) + 2 * 1
    assert block.Dense == 2 * 12
    # 24 bits in 2 steps of 2 channels; the residual in the 2 steps with light
    assert block.messages == 4 + 4
    assert block.message_bits == 4 * 24 + 4 * 20


def test_layers_by_hand(tiny: Program) -> None:
    layers = profile(tiny, SAMPLE, engine="reference").layers
    assert list(layers) == ["encoder", "blocks.0", "decoder"]
    assert (layers["encoder"].Effective_MACs, layers["encoder"].Dense) == (4, 6)
    assert (layers["blocks.0"].Effective_ACs, layers["blocks.0"].spikes) == (7, 3)
    assert (layers["decoder"].Effective_MACs, layers["decoder"].elementwise_adds) == (2, 6 + 2)


def test_layers_are_what_operations_say_not_what_they_are_called(tiny: Program) -> None:
    ops = [replace(op, layer="one" if "encoder" in op.name else "two") for op in tiny.ops]
    layers = profile(tiny.with_ops(ops), SAMPLE, engine="reference").layers
    assert list(layers) == ["one", "two"]
    assert (layers["one"].Effective_MACs, layers["two"].Effective_MACs) == (4, 2)


def test_samples_add_up_and_are_averaged(tiny: Program) -> None:
    dark = np.zeros((1, 3), np.uint8)
    both = profile(tiny, np.concatenate([SAMPLE, dark]), engine="reference")
    parts = [
        profile(tiny, SAMPLE, engine="reference").totals,
        profile(tiny, dark, engine="reference").totals,
    ]
    assert both.totals == Counts.sum(parts)
    found = both.to_json()
    assert found["totals"]["spikes"] == 3
    assert found["counts"]["spikes"] == 1.5
    assert (found["samples"], found["steps"]) == (2, 3)
    assert both.rates["blocks.0.spike"] == 3 / (2 * 3 * 2)
    assert both.input_messages == 2


def test_the_float_model_by_hand(tiny: Program) -> None:
    model = profile(tiny, SAMPLE, engine="reference").float_model
    assert model.linear_macs == 3 * (2 + 4) + 2  # encoder and value each step, decoder once
    assert model.state_macs == 3 * 2 * (4 + 2 + 1)  # A s, Re(C s), D u
    assert model.elementwise_macs == 3 * 2 * 4  # norm, gate, residual, mean
    assert model.functions == 3 * 2
    assert model.total_macs == 20 + 42 + 24


@pytest.mark.parametrize(("pool", "adds"), [("last", 0), ("max", 3 * 2)])
def test_other_readouts_divide_nothing(tiny: Program, pool: str, adds: int) -> None:
    values = {one.name: getattr(tiny.readout, one.name) for one in fields(p.Readout)}
    other = tiny.with_ops([*tiny.ops[:-1], p.READOUTS[pool](**values)])
    mean, now = (profile(one, SAMPLE, engine="reference").totals for one in (tiny, other))
    assert mean.elementwise_multiplies - now.elementwise_multiplies == 2
    assert mean.elementwise_adds - now.elementwise_adds == 3 * 2 - adds  # a comparison per step
    assert mean.message_bits - now.message_bits == 2 * (23 - 21)  # 2^19 of one step, not of three
    assert mean.Effective_MACs == now.Effective_MACs


def test_a_wide_sum_takes_several_messages(tiny: Program) -> None:
    # 2^19 over 2^20 steps: 20 + 20 + 1 = 41 bits, two messages of at most 32
    long = tiny.with_ops([*tiny.ops[:-1], replace(tiny.readout, max_steps=1 << 20)])
    more = profile(long, SAMPLE, engine="reference").totals
    assert more.messages == 3 + 4 + 4 + 2 * 2
    assert more.message_bits == 3 + 80 + 80 + 2 * 41


def test_tokens_add_one_row(small_program: Build) -> None:
    program = small_program(inputs=5, tokens=True, channels=4, blocks=1)
    tokens = np.array([[0, 3, 3]])
    encoder = profile(program, tokens, engine="reference").layers["encoder"]
    rows = np.count_nonzero(program["encoder.sum"].weight, axis=1)
    assert encoder.Effective_ACs == rows[0] + 2 * rows[3]
    assert encoder.Effective_MACs == 0
    assert encoder.Dense == 3 * 4


@settings(max_examples=30)
@given(
    channels=st.integers(1, 9),
    modes=st.integers(1, 4),
    inputs=st.integers(1, 3),
    blocks=st.integers(1, 3),
    samples=st.integers(1, 3),
    steps=st.integers(1, 6),
    seed=st.integers(0, 99),
)
def test_cores_and_layers_sum_to_the_total(
    small_program: Build,
    channels: int,
    modes: int,
    inputs: int,
    blocks: int,
    samples: int,
    steps: int,
    seed: int,
) -> None:
    program = small_program(channels=channels, modes=modes, inputs=inputs, blocks=blocks, seed=seed)
    data = np.random.default_rng(seed).integers(0, 256, (samples, steps, inputs), np.uint8)
    data[:, ::2] = 0
    result = profile(program, data, engine="reference")
    assert Counts.sum(core.counts for core in result.cores) == result.totals
    assert Counts.sum(result.layers.values()) == result.totals
    _check_by_recording(program, data, result)


def _check_by_recording(program: Program, data: np.ndarray, result: CostProfile) -> None:
    """Count again from recorded tensors, product by product."""
    dense = [op for op in program.ops if isinstance(op, p.Dense)]
    spikes = [op.name for op in program.ops if isinstance(op, p.Spike)]
    tensors = program.run(
        data, engine="reference", record={op.inputs[0] for op in dense} | set(spikes)
    ).tensors
    adds = products = 0
    for op in dense:
        for x in tensors[op.inputs[0]].reshape(-1, op.weight.shape[1]):
            effective = sum(bool(w) and bool(v) for row in op.weight for w, v in zip(row, x))  # noqa: B905
            adds += effective * (op.inputs[0] in spikes)
            products += effective * (op.inputs[0] not in spikes)
    assert result.totals.Effective_ACs == adds
    assert result.totals.Effective_MACs - result.layers["decoder"].Effective_MACs == products
    assert result.totals.spikes == sum(int(tensors[name].sum()) for name in spikes)


def test_json_has_the_keys_others_rely_on(tiny: Program) -> None:
    found = profile(tiny, SAMPLE, engine="reference").to_json()
    for entry in (found["totals"], found["counts"], *found["layers"]):
        assert set(KEYS) <= set(entry)
    assert all(type(value) is int for value in found["totals"].values())
    core = found["cores"][found["busiest_core"]]
    assert {
        "chip",
        "core",
        "neurons",
        "state_bytes",
        "synapse_bytes",
        "axons_in",
        "axons_out",
        "operations_per_step",
    } <= set(core)
    assert core["operations_per_step"] == max(c["operations_per_step"] for c in found["cores"])
    assert found["is_proxy"] is True
    assert found["static_power_mw"] is None


def test_counts_know_their_keys() -> None:
    counts = Counts(Effective_ACs=2, Effective_MACs=3, state_adds=5)
    assert list(asdict(counts)) == list(KEYS)
    assert counts.synaptic_operations == 5
    assert counts.operations == 10
    assert Counts.of(np.tile(np.arange(len(KEYS)), (2, 1)).T).values() == tuple(
        2 * i for i in range(len(KEYS))
    )


def test_samples_that_end_early_count_their_own_steps(networks: ModuleType) -> None:
    """Counts are sums over the samples alone; means are taken over the samples."""
    program = networks.random_program(2, channels=5, modes=2)
    data = networks.random_data(program.input, 0, 4, 10)
    lengths = [10, 1, 4, 7]
    found = profile(program, data, lengths=lengths)
    alone = [profile(program, data[i : i + 1, :n]) for i, n in enumerate(lengths)]
    assert found.totals == Counts.sum(one.totals for one in alone)
    assert found.input_messages == sum(one.input_messages for one in alone)
    assert found.steps == 22 / 4
    macs = sum(one.float_model.total_macs for one in alone) / 4
    assert found.float_model.total_macs == pytest.approx(macs)
