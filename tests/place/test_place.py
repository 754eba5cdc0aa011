from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurossm.arrays import IntArray
from neurossm.cost import Counts, profile
from neurossm.errors import LimitError, UnsupportedError
from neurossm.hw_profiles import Profile, load_profile
from neurossm.place.groups import Feed, OpPart, neuron_groups
from neurossm.place.neurons import sent_tensors
from neurossm.place.placement import Placement, place
from neurossm.program import SSM, Dense, LayerNorm, Op, Program, State, unchecked
from neurossm.program.expression import (
    Expression,
    Step,
    greater,
    maximum,
    rshift,
    saturated,
    select,
)
from neurossm.program.fields import Symbols, per_channel, scalar

Build = Callable[..., Program]


def _target(**limits: int | None) -> Profile:
    profile = load_profile("loihi2")
    return replace(profile, limits=replace(profile.compile_limits(), **limits))


def test_the_groups_and_their_bytes_by_hand(small_program: Build) -> None:
    program = small_program(inputs=2, channels=3, modes=2, blocks=1, classes=2, seed=1)
    program = program.with_ops(
        # weights of 8 bits, poles of 9, everything else of one byte, thresholds of one byte
        _filled(op)
        for op in program.ops
    )
    encoder, ssm, mix, total, classes = neuron_groups(program, accumulator_bits=32)
    assert [g.name for g in (encoder, ssm, mix)] == ["encoder", "blocks.0.spike", "blocks.0.add"]
    assert [total.name, classes.name] == ["decoder:sum", "decoder"]
    assert [u.op for u in ssm.units] == ["blocks.0.norm", "blocks.0.ssm", "blocks.0.spike"]
    assert {"blocks.0.value.sum", "blocks.0.sigmoid", "blocks.0.glu"} < {
        unit.op for unit in mix.units
    }
    assert (encoder.neurons, ssm.neurons, mix.neurons, total.neurons, classes.neurons) == (
        (3, 3, 3, 3, 2)
    )
    # state: an accumulator of 4 bytes; parameters: gain, shift, offset; 2 weights of a byte
    assert (encoder.state_bytes, encoder.parameter_bytes, encoder.synapse_bytes) == (4, 3, 2)
    # state: an accumulator, and 2 modes of 2 parts of 20 bits = 3 bytes;
    # parameters: 3 of the affine, per mode 2 * 2 of the pole, 2 of its shifts, 2 of c; then
    # readout_shift, d, d_shift and the threshold; one weight of 1 for the value from the encoder
    assert ssm.state_bytes == 4 + 2 * 2 * 3
    assert ssm.parameter_bytes == 3 + 2 * (4 + 4) + 3 + 1
    assert ssm.synapse_bytes == 1
    # state: accumulators of value, gate and residual, and the residual (20 bits) delayed by a step;
    # parameters: two affines and a shift; 2 * 3 weights and that of the residual;
    # per core the table: 4 segments of two bytes
    assert (mix.state_bytes, mix.parameter_bytes, mix.synapse_bytes) == (3 * 4 + 3, 7, 7)
    assert mix.shared_bytes == 8
    # operations: 2 weights, a product and a sum | per mode 6 + 5, and d u, affine, threshold |
    # 35 % of 3 weights rounded up, twice; 2 * 2 of affines, table 1 + 2 (7 = 8 - 1), product, sum
    assert encoder.operations == 4
    assert ssm.operations == 2 * 11 + 1 + 2 + 1
    assert mix.operations == 2 * 2 + 4 + 3 + 1 + 1
    # the sum of 1024 values of 20 bits has 30 bits: 4 bytes
    assert (total.state_bytes, total.operations) == (4 + 4, 1)
    assert classes.synapse_bytes == 3


def _filled(op: object) -> object:
    if isinstance(op, Dense):
        return replace(op, weight=np.full_like(op.weight, -100))
    if isinstance(op, SSM):
        a_re = np.full_like(op.a_re, -150)  # 9 bits with sign: 2 bytes
        return replace(op, a_re=a_re, a_im=-a_re)
    return op


def test_who_sends_to_whom(small_program: Build) -> None:
    program = small_program(channels=4, blocks=2)
    groups = {group.name: group for group in neuron_groups(program, 32)}
    second = groups["blocks.1.add"]
    assert {(s.unit.op, s.channels, s.dense, s.weighted) for s in second.sources} == {
        ("blocks.1.spike", 4, True, True),  # once, though value and gate both read it
        ("blocks.0.add", 1, False, False),
    }
    assert groups["blocks.0.add"].sends == (OpPart("blocks.0.add"),)
    assert groups["blocks.1.spike"].sends == (OpPart("blocks.1.spike"),)
    assert groups["decoder"].sends == ()


def test_a_final_affine_belongs_to_the_last_neuron(small_program: Build) -> None:
    program = small_program(channels=4)
    norm = replace(program["blocks.0.norm"], name="norm", inputs=("blocks.0.add",))
    readout = replace(program.readout, inputs=("norm",))
    groups = neuron_groups(program.with_ops([*program.ops[:-1], norm, readout]), 32)
    assert [g.name for g in groups][-3:] == ["norm", "decoder:sum", "decoder"]
    assert groups[-3].sends == (OpPart("norm"),)
    assert OpPart("blocks.0.add") in groups[-3].units


def test_layer_normalisation_has_a_neuron_for_its_statistics(small_program: Build) -> None:
    program = small_program(channels=4)
    ones = np.ones(4, np.int64)
    spec = unchecked(20, 0, 4)
    norm = LayerNorm("ln", ("blocks.0.glu",), spec, gain=ones, shift=ones, offset=ones, eps=1)
    total = replace(program["blocks.0.add"], inputs=("ln", "encoder"))
    ops = [op for op in program.ops if op.name != "blocks.0.add"]
    groups = {
        g.name: g for g in neuron_groups(program.with_ops([*ops[:-1], norm, total, ops[-1]]), 32)
    }
    statistics, unit = groups["ln:statistics"], groups["blocks.0.add"]
    # 2 * 4 + 1 + 3 * 3 products, 4 * 4 + 2 + 3 sums
    assert (statistics.neurons, statistics.operations) == (1, 18 + 21)
    assert [(s.unit.op, s.channels) for s in statistics.sources] == [("blocks.0.glu", 4)]
    assert set(unit.sends) == {OpPart("blocks.0.glu"), OpPart("blocks.0.add")}
    assert OpPart("ln", "statistics") in [source.unit for source in unit.sources]


def test_names_that_look_like_parts_are_no_parts(small_program: Build) -> None:
    program = small_program(channels=4)

    def renamed(new: str) -> Program:
        old = "blocks.0.add"
        ops = [replace(op, name=new) if op.name == old else op for op in program.ops]
        readout = replace(program.readout, inputs=(new,))
        return program.with_ops([*ops[:-1], readout])

    for name in ("add.statistics", "add.sum", "decoder.sum", "decoder.statistics"):
        groups = neuron_groups(renamed(name), 32)
        wanted = [replace(group, units=(), sends=(), sources=()) for group in groups]
        plain = neuron_groups(program, 32)
        assert wanted == [replace(group, units=(), sends=(), sources=()) for group in plain]
        assert [group.unit for group in groups][-3:-1] == [OpPart(name), OpPart("decoder", "sum")]
    with pytest.raises(UnsupportedError, match="decoder:sum: .* like a part of another one"):
        neuron_groups(renamed("decoder:sum"), 32)


def test_the_busiest_core_sets_the_split(small_program: Build) -> None:
    # Operations per step of one neuron (see above): encoder 1 + 2, SSM with 2 modes 26, mixing unit
    # with 6 channels 2 * 3 + 9 = 15, sum 1; per group of 6: 18, 156, 90, 6, and decoder 0.
    program = small_program(channels=6, modes=2)
    placement = place(program, _target(cores_per_chip=9, chips_per_system=1))
    cores = {g.name: len(placement.cores_of(g.name)) for g in placement.groups}
    # 9 cores, one at least for each of the 5 groups. Load 52: 2 SSM neurons per core on 3 cores,
    # 3 mixing units per core on 2 cores, with the others 8 cores. Anything lower would need
    # 6 cores for the SSM and at least 2 for the mixing units; the next load, 60, is beyond 15 %.
    assert cores == {
        "encoder": 1,
        "blocks.0.spike": 3,
        "blocks.0.add": 2,
        "decoder:sum": 1,
        "decoder": 1,
    }
    assert placement.cores[placement.busiest_core].operations_per_step == 52
    assert placement.least_cores == 5
    mean = (18 + 156 + 90 + 6) / 8
    assert placement.imbalance == pytest.approx(52 / mean)


@given(
    channels=st.integers(1, 30),
    modes=st.integers(1, 6),
    blocks=st.integers(1, 2),
    cores=st.integers(8, 60),
)
def test_the_split_is_the_best_of_all(
    small_program: Build, channels: int, modes: int, blocks: int, cores: int
) -> None:
    """Try every load, without bisection."""
    program = small_program(channels=channels, modes=modes, blocks=blocks)
    placement = place(program, _target(cores_per_chip=cores))
    possible = {}
    for load in range(1, channels * max(group.operations for group in placement.groups) + 1):
        per_core = [load // g.operations if g.operations else g.neurons for g in placement.groups]
        if all(per_core):
            used = sum(-(-g.neurons // n) for g, n in zip(placement.groups, per_core, strict=True))
            if used <= cores:
                possible[load] = used
    shortest = min(possible)
    within = {load: used for load, used in possible.items() if load <= 1.15 * shortest}
    busiest = placement.cores[placement.busiest_core].operations_per_step
    assert busiest <= 1.15 * shortest
    assert busiest * placement.cores_used <= min(load * used for load, used in within.items())


def test_axons_of_a_split_network(small_program: Build) -> None:
    program = small_program(inputs=2, channels=4, modes=1)
    placement = place(program, _target(neurons_per_core=2))
    by_group = defaultdict(list)
    for core in placement.cores:
        by_group[core.group].append(core)
    # all 4 groups of 4 channels have at least 2 cores
    mixers = len(by_group["blocks.0.add"])
    for core in by_group["blocks.0.spike"]:
        assert core.axons_in == core.neurons  # each from the encoder's neuron of its channel
        assert core.axons_out == core.neurons * mixers
    for core in by_group["blocks.0.add"]:
        assert core.axons_in == 4 + core.neurons  # all spikes, and the residual
        assert core.axons_out == core.neurons
    for core in by_group["encoder"]:
        assert core.axons_in == 2
        assert core.axons_out == 2 * core.neurons  # to the SSM and, as the residual, to the mixer


@given(
    channels=st.integers(1, 40),
    modes=st.integers(1, 9),
    inputs=st.integers(1, 5),
    blocks=st.integers(1, 3),
    tokens=st.booleans(),
    neurons=st.integers(1, 64),
    memory=st.integers(300, 20_000),
    synapses=st.integers(100, 20_000),
    cores=st.integers(4, 200),
    axons=st.one_of(st.none(), st.integers(10, 400)),
)
def test_no_limit_is_ever_exceeded(
    small_program: Build,
    channels: int,
    modes: int,
    inputs: int,
    blocks: int,
    tokens: bool,
    neurons: int,
    memory: int,
    synapses: int,
    cores: int,
    axons: int | None,
) -> None:
    program = small_program(
        channels=channels, modes=modes, inputs=inputs, blocks=blocks, tokens=tokens
    )
    target = _target(
        neurons_per_core=neurons,
        core_memory_bytes=memory,
        synapse_memory_bytes=min(synapses, memory),
        cores_per_chip=cores,
        axons_in_per_core=axons,
        axons_out_per_core=axons,
    )
    try:
        placement = place(program, target)
    except LimitError as error:
        assert "would fit: " in str(error) or "no split" in str(error)  # noqa: PT017
        return
    limits = target.compile_limits()
    for core in placement.cores:
        assert core.neurons <= limits.neurons_per_core
        assert core.synapse_bytes <= limits.synapse_memory_bytes
        used = core.state_bytes + core.parameter_bytes + core.synapse_bytes
        assert used <= limits.core_memory_bytes
        assert max(core.axons_in, core.axons_out) <= (axons or 1 << 60)
        assert 0 < core.load <= 1
        assert core.core < limits.cores_per_chip
        assert core.chip < limits.chips_per_system
    _check_complete(placement)


def _check_complete(placement: Placement) -> None:
    """Every neuron lives on exactly one core, and no core is used twice."""
    places = [(core.chip, core.core) for core in placement.cores]
    assert len(set(places)) == len(places)
    for group in placement.groups:
        channels = [
            channel
            for core in placement.cores_of(group.name)
            for channel in range(group.neurons)[core.channels]
        ]
        assert channels == list(range(group.neurons))


def test_several_chips_when_one_is_not_enough(small_program: Build) -> None:
    program = small_program(channels=8, modes=2)
    # 4 groups of 8 neurons and 2 decoders, one neuron per core: 34 cores, on chips of 10
    placement = place(program, _target(neurons_per_core=1, cores_per_chip=10))
    assert (placement.cores_used, placement.chips_used) == (34, 4)
    assert placement.cores[10].chip == 1
    assert placement.cores[10].core == 0


def test_too_few_chips_are_counted_and_what_would_help(small_program: Build) -> None:
    program = small_program(channels=8, modes=2)
    target = _target(neurons_per_core=1, cores_per_chip=10, chips_per_system=3)
    with pytest.raises(LimitError) as caught:
        place(program, target)
    assert str(caught.value) == (
        "the network needs 34 cores, 4 more than target 'loihi2' has (3 chips of 10); would fit: "
        "4 chips (chips_per_system of a profile of your own)"
    )


def test_a_neuron_too_large_names_group_limit_and_excess(small_program: Build) -> None:
    program = small_program(channels=3, modes=40)
    ssm = neuron_groups(program, 32)[1]
    need = ssm.state_bytes + ssm.parameter_bytes
    with pytest.raises(LimitError) as caught:
        place(program, _target(neuron_state_bytes=need - 7))
    message = str(caught.value)
    assert message.startswith(
        f"blocks.0.spike: one neuron (40 modes) needs neuron_state_bytes = {need}, 7 more than the "
        f"{need - 7} of target 'loihi2'; would fit: "
    )
    # one mode less frees at least 6 bytes of state and 5 of parameters; states of 16 bits 80
    assert "states of 16 bits, or 39 modes per channel" in message
    assert "chips" not in message  # they would not help
    assert "weights" not in message


def test_the_alternatives_would_fit_and_one_more_would_not(small_program: Build) -> None:
    target = _target(neuron_state_bytes=200)
    with pytest.raises(LimitError, match="would fit: 1[0-9] modes per channel") as caught:
        place(small_program(channels=3, modes=40), target)
    modes = int(str(caught.value).split(" modes per channel")[0].split()[-1])
    place(small_program(channels=3, modes=modes), target)
    with pytest.raises(LimitError):
        place(small_program(channels=3, modes=modes + 1), target)


def test_narrower_weights_are_offered(small_program: Build) -> None:
    program = small_program(channels=64, modes=1)
    # a mixing neuron has 2 * 64 weights of 8 bits and one of the residual: 129 bytes; 4 bits fit
    with pytest.raises(
        LimitError, match="blocks.0.add: .* 29 more than the 100 .*weights of 6 bits"
    ):
        place(program, _target(synapse_memory_bytes=100))


def test_messages_and_weights_too_wide(small_program: Build) -> None:
    program = small_program()
    with pytest.raises(LimitError, match="messages of 20 bits, 4 more than target 'loihi2' sends"):
        place(program, _target(message_bits=16))
    with pytest.raises(LimitError, match="weights of 8 bits, target 'loihi2' has 4"):
        place(program, _target(weight_bits=4))


def test_targets_without_programmable_neurons_are_refused(small_program: Build) -> None:
    with pytest.raises(UnsupportedError, match="'loihi1' cannot run programs"):
        place(small_program(), load_profile("loihi1"))


@dataclass(frozen=True, eq=False)
class _Relu(Op):
    """An operation that nobody here knows."""

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Expression:
        return maximum(x[0], 0)


@dataclass(frozen=True, eq=False)
class _Leaky(Op):
    """A neuron that nobody here knows: it spikes and starts anew."""

    decay: IntArray = per_channel()
    threshold: IntArray = per_channel()
    state_bits: int = scalar()
    saturates: ClassVar[bool] = False
    emits: ClassVar[str] = "spikes"
    states: ClassVar[tuple[State, ...]] = (State("v", "channel", "state_bits"),)

    @staticmethod
    def equation(f: Symbols, *x: Expression) -> Step:
        v = saturated(rshift(f.decay * f.state("v"), 8) + x[0], f.state_bits)
        spike = greater(v, f.threshold)
        return Step(spike, {"v": select(spike, 0, v)})


def test_operations_nobody_here_knows_are_placed_and_counted(small_program: Build) -> None:
    plain = small_program(channels=4, modes=2)
    relu = _Relu("relu", ("blocks.0.glu",), unchecked(20, 0, 4), layer="blocks.0")
    decay, threshold = np.full(4, 300), np.full(4, 33_000)  # 2 and 3 bytes
    leaky = _Leaky(
        "leaky", ("relu",), unchecked(2, 0, 4), decay, threshold, state_bits=24, layer="blocks.0"
    )
    ops = list(plain.ops)
    ops[-2:] = [relu, leaky, replace(ops[-1], inputs=("leaky",))]
    program = plain.with_ops(ops)
    _, _, mix, neuron, *_ = neuron_groups(program, 32)
    assert mix.sends == (OpPart("blocks.0.glu"),)
    # the neuron rectifies its own input
    assert [unit.op for unit in neuron.units] == ["relu", "leaky"]
    assert neuron.sources == (Feed(OpPart("blocks.0.glu"), 1, dense=False),)
    # an accumulator and the state; a product, a sum and a comparison
    assert (neuron.state_bytes, neuron.parameter_bytes, neuron.operations) == (4 + 3, 5, 3)
    sent = {name: program[name].message_bits for name in sent_tensors(program)}
    assert sent == {"input": 9, "encoder": 20, "blocks.0.spike": 1, "blocks.0.glu": 20, "leaky": 1}
    x = np.random.default_rng(0).integers(0, 256, (2, 50, 1), np.uint8)
    cores = profile(program, x, engine="reference").cores
    counts = Counts.sum(load.counts for load in cores if load.core.group == "leaky")
    spikes = program.run(x, "reference", ["leaky"]).tensors["leaky"]
    assert counts.spikes == counts.neuron_updates_active == spikes.sum() > 0
    assert counts.state_updates == spikes.size
