"""Every process alone on Lava, in both number systems, against hand arithmetic."""

import doctest
import sys
from inspect import getmembers

import numpy as np
import pytest
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg

from neurossm import graph, program
from neurossm.errors import InputError, RunError
from neurossm.lava import Inlet, Neuron, Player, ReadoutProcess, Schedule
from neurossm.lava.neuron_model import NeuronModel
from neurossm.lava.plan import Plan, Stage, Wire
from neurossm.lava.unit import TAKEN, recordable, unit_of
from neurossm.program import unchecked

TAGS = {"fixed_pt": np.int64, "floating_pt": np.float64}


def column(*values):
    return np.array(values, dtype=np.int32)[:, None]


def affine(name, reads, gain, shift, offset, tag="fixed_pt", bits=32):
    """Return `gain x / 2^shift + offset`, of one or two number systems."""
    if tag == "fixed_pt":
        out = unchecked(bits, 0, len(gain))
        return program.Affine(name, (reads,), out, gain, shift, offset)
    return graph.AffineNode(name, (reads,), np.array(gain) / np.exp2(shift), np.array(offset))


def resonator(tag, pole=1, c=1, d=0, channels=1):
    """Return modes of pole `pole / 2`, whose input enters unscaled: y = c s + d u."""
    ones = np.ones((channels, 1), int)
    if tag == "floating_pt":
        return graph.SSMNode("ssm", ("u",), pole / 2 * ones, ones, c / 2 * ones, d * ones[:, 0])
    return program.SSM(
        "ssm",
        ("u",),
        unchecked(32, 0, channels),
        a_re=pole * ones,
        a_im=0 * ones,
        pole_shift=ones,
        input_shift=0 * ones,
        c_re=c * ones,
        c_im=0 * ones,
        readout_shift=0 * ones[:, 0],
        d=d * ones[:, 0],
        d_shift=0 * ones[:, 0],
        state_bits=24,
    )


def spike(tag, reads, *threshold):
    if tag == "floating_pt":
        return graph.SpikeNode("s", (reads,), np.array(threshold))
    return program.Spike("s", (reads,), unchecked(2, 0, len(threshold)), threshold)


def ternary(tag, reads, *threshold):
    if tag == "floating_pt":
        return graph.TernaryNode("s", (reads,), np.array(threshold), 0.0)
    return program.Ternary("s", (reads,), unchecked(2, 0, len(threshold)), threshold)


def dense(tag, weight, name="dense", reads="input"):
    weight = np.array(weight)
    if tag == "floating_pt":
        return graph.LinearNode(name, (reads,), weight, np.zeros(len(weight)))
    return program.Dense(name, (reads,), unchecked(32, 0, len(weight)), weight)


def models(process):
    module = sys.modules[process.__module__]
    return [
        item
        for item in vars(module).values()
        if getattr(item, "implements_process", None) is process
    ]


def check_integers(model):
    declared = {name: t for name, t in getmembers(model) if isinstance(t, LavaPyType)}
    assert declared
    for name, declaration in declared.items():
        assert np.dtype(declaration.d_type).kind in "ib", name


# Lava takes an untagged model under any tag, and casts floats to the declared type in silence.
@pytest.mark.parametrize("kind", [Player, ReadoutProcess])
def test_every_model_is_tagged_and_fixed_point_ones_hold_integers(kind):
    assert sorted(tuple(model.tags) for model in models(kind)) == [("fixed_pt",), ("floating_pt",)]
    (fixed,) = [model for model in models(kind) if model.tags == ["fixed_pt"]]
    check_integers(fixed)


@pytest.mark.parametrize("tag", TAGS)
def test_a_neuron_has_one_tagged_model_of_its_numbers(tag):
    neuron = Neuron([resonator(tag), spike(tag, "ssm", 2)], channels=1)
    assert isinstance(neuron, Neuron)
    (model,) = models(type(neuron))
    assert model.tags == [tag]
    if tag == "fixed_pt":
        check_integers(model)
    again = Neuron([resonator(tag), spike(tag, "ssm", 5)], channels=1)
    assert type(again) is type(neuron)  # no class for each neuron


@pytest.mark.parametrize("tag", TAGS)
def test_fields_and_states_are_variables(tag):
    members = [affine("u", "x", [3], [0], [1], tag), resonator(tag), spike(tag, "ssm", 2)]
    neuron = Neuron(members, channels=1)
    assert neuron.threshold.get().tolist() == [2]
    assert neuron.state_re.get().tolist() == [[0]]
    if tag == "fixed_pt":
        assert neuron.a_re.get().tolist() == [[1]]
        assert neuron.gain.get().tolist() == [3]
        assert neuron.state_bits.get().tolist() == [24]
    else:
        assert neuron.A_bar_re.get().tolist() == [[0.5]]
        assert neuron.A_bar_im.get().tolist() == [[0]]


def test_variables_of_one_name_are_told_apart_by_their_members():
    neuron = Neuron([affine("u", "x", [3], [0], [1]), affine("y", "u", [5], [0], [1])])
    assert neuron.affine1_gain.get().tolist() == [3]
    assert neuron.affine2_gain.get().tolist() == [5]
    assert neuron.unit.variable("y", "gain") == "affine2_gain"
    with pytest.raises(InputError, match="y: has no field or state 'pole'"):
        neuron.unit.variable("y", "pole")


def test_names_that_lava_uses_are_not_variables():
    neuron = Neuron([affine("u", "x", [3], [0], [1])])
    model = NeuronModel(neuron.proc_params)
    own = {*neuron.unit.variables, *neuron.unit.inlets, *neuron.unit.outlets}
    names = {name for name in (*dir(neuron), *dir(model)) if not name.startswith("_")}
    assert names - own == TAKEN, sorted((names - own) ^ TAKEN)
    table = graph.PiecewiseLinearNode("t", ("x",), "relu", 0.0, 0, np.ones(2), np.ones(2), 0.0)
    assert {*unit_of([table], channels=1).variables} == {
        "piecewiselinear_start", "width_log2", "base", "slope", "max_error",
    }  # fmt: skip


def test_ports_follow_from_what_is_read_and_sent():
    members = [
        affine("u", "x", [1, 1], [0, 0], [0, 0]),
        program.Add("z", ("u", "r"), unchecked(32, 0, 2)),
    ]
    neuron = Neuron(members)
    assert {port.name: port.shape for port in neuron.in_ports} == {"a_in": (2,), "b_in": (2,)}
    assert [port.name for port in neuron.out_ports] == ["s_out"]
    both = Neuron(members, inlets=[Inlet({"x": 2, "r": 2})], sends=["u", "z"])
    assert [(port.name, port.shape) for port in both.in_ports] == [("a_in", (4,))]
    assert both.unit.outlets == {"s_out": "u", "s2_out": "z"}
    with pytest.raises(InputError, match="sends: 'w' is none of"):
        Neuron(members, sends=["w"])
    with pytest.raises(InputError, match="z: reads 'r', which nothing before it makes"):
        Neuron(members, inlets=[Inlet({"x": 2})])
    with pytest.raises(InputError, match="u: its channels are unknown"):
        Neuron([resonator("floating_pt")])


@pytest.mark.parametrize("tag", TAGS)
def test_affine(play, chain, tag):
    # (3x >> 1) + 1, nearest: x = 1 -> 1.5 -> 2 + 1; x = -1 -> -1.5 -> -1 + 1
    plan = chain([affine("y", "input", [3], [1], [1], tag)], tag=tag)
    got = play(plan, column(1, -1, 4), 3, {"input": (1,), "y": (1,)})
    assert got["input"].ravel().tolist() == [1, -1, 4]
    expected = [3, 0, 7] if tag == "fixed_pt" else [2.5, -0.5, 7.0]
    assert got["y"].ravel().tolist() == expected


@pytest.mark.parametrize("tag", TAGS)
def test_ssm_resets_between_samples_and_spikes_above_threshold(play, chain, tag):
    # pole 1/2: s = s/2 + u, y = s; samples of 3 steps: (8, 0, 0), (4, 0, 0); threshold 2
    neuron = [resonator(tag), spike(tag, "ssm", 2)]
    wanted = {"ssm": (1,), "s": (1,)}
    if tag == "fixed_pt":
        wanted["ssm:state_re"] = (1, 1)
    got = play(chain(neuron, tag=tag), column(8, 0, 0, 4, 0, 0), 3, wanted)
    for name in wanted.keys() - {"s"}:
        assert got[name].ravel().tolist() == [8, 4, 2, 4, 2, 1]
    assert got["s"].ravel().tolist() == [1, 1, 0, 1, 0, 0]


@pytest.mark.parametrize("tag", TAGS)
def test_graded_values_and_three_kinds_of_spikes_leave_together(play, chain, tag):
    # pole 1/2: s = s/2 + u, y = s; graded g = y/2 + 1; threshold 3; samples of 3 steps
    neuron = [resonator(tag), affine("g", "ssm", [1], [1], [1], tag), ternary(tag, "g", 3)]
    # y = 8, 4, 2 and -16, -8, -4; g = 5, 3, 2 and -7, -3, -1
    data = column(8, 0, 0, -16, 0, 0)
    unit = unit_of(neuron, channels=1)
    assert unit.outlets == {"y_out": "g", "s_out": "s"}
    for port, expected in (("y_out", [5, 3, 2, -7, -3, -1]), ("s_out", [1, 0, 0, -1, 0, 0])):
        plan = chain(neuron, [affine("after", "received", [1], [0], [0], tag)], tag=tag)
        first, second, third = plan.stages
        wires = {"a_in": Wire("ssm", port)}
        third = Stage("Neuron", "after", third.members, wires, 0, third.unit, 0, third.recorded)
        plan = Plan((first, second, third), tag)
        wanted = {"ssm": (1,), "g": (1,), "s": (1,), "received": (1,)}
        got = play(plan, data, 3, wanted)
        assert got["ssm"].ravel().tolist() == [8, 4, 2, -16, -8, -4]
        assert got["g"].ravel().tolist() == [5, 3, 2, -7, -3, -1]
        assert got["s"].ravel().tolist() == [1, 0, 0, -1, 0, 0]
        assert got["received"].ravel().tolist() == expected


def test_ternary_spikes_keep_their_sign_through_lavas_dense(play, chain):
    # the Dense must see -1 and 1, not 1 and 1
    plan = chain(
        [ternary("fixed_pt", "x", 10, 10)],
        [dense("fixed_pt", [[3, -5]], reads="s")],
        [affine("after", "dense", [1], [0], [0])],
        channels=2,
        message_bits=2,
    )
    data = np.array([[11, -11], [-11, 10], [11, 11]], np.int32)
    assert play(plan, data, 3, {"after": (1,)})["after"].ravel().tolist() == [8, -3, -2]


def test_dynamic_threshold_looks_at_all_channels(play, chain):
    plan = chain([graph.TernaryNode("s", ("x",), None, 0.5)], tag="floating_pt", channels=2)
    got = play(plan, np.array([[1.0, -3.0], [2.0, -3.0]]), 2, {"s": (2,)})
    assert got["s"].tolist() == [[0, -1], [1, -1]]


def test_layer_norm(play, chain):
    # mean 2, deviations 1 and -1, standard deviation 1: y = 8 * (+-1) + 1 of gain 8 sqrt(2)
    gain = [11585, 11585]  # 8 sqrt(2) = 11585 / 2^10
    op = program.LayerNorm("y", ("x",), unchecked(32, 0, 2), gain, [30, 30], [1, 1], 0)
    got = play(chain([op], channels=2), np.array([[3, 1], [5, 5]], np.int32), 2, {"y": (2,)})
    assert got["y"].tolist() == [[9, -7], [1, 1]]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("steps", [1, 2, 3])
def test_a_path_around_matrices_waits_as_long_as_they_take(play, chain, tag, steps):
    # x = 10, 20, 30, ... goes through so many Dense (2x each) and around them
    links = [[dense(tag, [[2]], f"d{n}", f"d{n - 1}" if n else "input")] for n in range(steps)]
    plan = chain(*links, tag=tag)
    reads = ("x", "r")
    fixed = tag == "fixed_pt"
    add = program.Add("z", reads, unchecked(32, 0, 1)) if fixed else graph.AddNode("z", reads)
    unit = unit_of([add], [Inlet({"x": 1}), Inlet({"r": 1}, delay=steps)])
    wires = {"a_in": Wire(f"d{steps - 1}", "a_out"), "b_in": Wire("input", "s_out")}
    stage = Stage("Neuron", "z", (add,), wires, steps, unit, recorded=recordable(unit))
    plan = Plan((*plan.stages, stage), tag)
    got = play(plan, column(10, 20, 30, 40, 50), 5, {"x": (1,), "r": (1,), "z": (1,)})
    assert got["r"].ravel().tolist() == [10, 20, 30, 40, 50]
    assert got["x"].ravel().tolist() == [2**steps * x for x in (10, 20, 30, 40, 50)]
    assert np.array_equal(got["z"], got["x"] + got["r"])


@pytest.mark.parametrize("tag", TAGS)
def test_embedding_selects_rows(play, chain, tag):
    weight = np.array([[1, -2], [3, 4], [-300, 70000]])
    if tag == "floating_pt":
        embedding = graph.EmbeddingNode("y", ("token",), weight / 8)
        weight = weight / 8
    else:
        embedding = program.Embedding("y", ("token",), unchecked(32, 0, 2), weight)
    got = play(chain([embedding], tag=tag), column(2, 0, 1, 2), 4, {"y": (2,)})
    assert got["y"].tolist() == weight[[2, 0, 1, 2]].tolist()


@pytest.mark.parametrize("tag", TAGS)
def test_readout_decodes_each_sample_by_itself(play, chain, tag):
    # samples of 2 steps: sums 3 and -5; z = 3 sum + 2 n; n = 2
    if tag == "fixed_pt":
        members = [program.Readout("z", ("x",), unchecked(32, 0, 1), [[3]], [2], 0, 9)]
    else:
        members = [graph.MeanNode("m", ("x",)), graph.LinearNode("z", ("m",), [[3.0]], [2.0])]
    got = play(chain(members, tag=tag), column(1, 2, -4, -1), 2, {"z": (1,)})
    # 9/2 + 2 = 6.5 -> 7; -15/2 + 2 = -5.5 -> -5
    expected = [7, -5] if tag == "fixed_pt" else [6.5, -5.5]
    assert got["z"].ravel().tolist() == expected


SAME = affine("same", "x", [1], [0], [0])


def test_player_refuses_what_the_wire_would_wrap(play, chain):
    plan = chain([SAME], bits=8)
    with pytest.raises(RunError, match=r"input, step 3: value 128 does not fit \[-128, 127\]"):
        play(plan, column(127, -128, 128), 3, {})


def test_player_refuses_floats_in_fixed_point(play, chain):
    with pytest.raises(RunError, match="data of type float64; the fixed_pt model needs integers"):
        play(chain([SAME]), np.array([[1.7]]), 1, {})


def test_a_foreign_token_is_refused(play, chain):
    embedding = program.Embedding("y", ("token",), unchecked(32, 0, 1), np.ones((2, 1), int))
    with pytest.raises(RunError, match=r"y, step 2: index 2 is out of bounds"):
        play(chain([embedding]), column(1, 2), 2, {})


class TestDense:
    """Lava's own Dense, with the mantissas and message widths that the builder gives it."""

    def run(self, play, chain, weight, data, message_bits=8, tag="fixed_pt"):
        weight, data = np.array(weight), np.array(data)
        same = np.ones(len(weight), int)
        after = affine("after", "dense", same, 0 * same, 0 * same, tag)
        plan = chain(
            [dense(tag, weight)],
            [after],
            tag=tag,
            channels=weight.shape[1],
            message_bits=message_bits,
        )
        return play(plan, data, len(data), {"dense": same.shape})["dense"]

    @pytest.mark.parametrize("tag", TAGS)
    def test_every_8_bit_weight_is_exact(self, play, chain, tag):
        weight = np.arange(-128, 128)[:, None]
        got = self.run(play, chain, weight, [[1], [0], [3]], tag=tag)
        assert np.array_equal(got, np.array([[1], [0], [3]]) @ weight.T)

    def test_weights_of_one_sign_are_exact(self, play, chain):
        # Lava would take unmixed signs for a wider range and keep odd values
        got = self.run(play, chain, [[3, 5], [7, 1]], [[1, 1], [1, 0]])
        assert got.tolist() == [[8, 8], [3, 7]]
        got = self.run(play, chain, [[-3, -5], [-7, -128]], [[1, 1], [1, 0]])
        assert got.tolist() == [[-8, -135], [-3, -7]]

    def test_binary_spikes_as_single_bits(self, play, chain):
        got = self.run(play, chain, [[3, -5], [127, -128]], [[1, 0], [1, 1], [0, 1]], 0)
        assert got.tolist() == [[3, 127], [-2, -1], [-5, -128]]

    def test_zero_message_bits_take_minus_one_for_one(self, play, chain):
        # the trap: (5, -3) act as (1, 1), so ternary spikes must not travel as single bits
        assert self.run(play, chain, [[3, -5]], [[5, -3]], 0).tolist() == [[-2]]
        assert self.run(play, chain, [[3, -5]], [[1, -1]], 2).tolist() == [[8]]

    def test_graded_messages_of_8_16_and_24_bits(self, play, chain):
        for bits, data in (
            (9, [[0], [1], [255]]),
            (16, [[-32768], [32767], [-1]]),
            (24, [[-(2**23)], [2**23 - 1], [-12345]]),
        ):
            got = self.run(play, chain, [[127], [-127], [1]], data, bits)
            assert np.array_equal(got, np.array(data) @ np.array([[127, -127, 1]]))

    def test_wide_graded_values_into_ternary_weights(self, play, chain):
        # the accumulator holds twice the sum: 2 * 3 * (2^28 - 1) < 2^31
        most = 2**28 - 1
        data = [[most, -most, most], [most, most, 0], [-most, most, -most], [1, -2, 3]]
        weight = [[1, -1, 1], [-1, 0, 1], [0, 0, 0]]
        got = self.run(play, chain, weight, data, 29)
        assert np.array_equal(got, np.array(data) @ np.array(weight).T)

    def test_the_accumulator_wraps_beyond_what_the_builder_admits(self, play, chain):
        # 2 * sum|m| * max|s| = 2^31 - 2^24: exact; one more weight of 1 and 2^31 wraps
        full = 2**23
        assert self.run(play, chain, [[127, 0]], [[full, full]], 25).tolist() == [[127 * full]]
        wrapped = self.run(play, chain, [[127, 1]], [[full, full]], 25)
        assert wrapped.item() == -(2**30)


@pytest.mark.filterwarnings("ignore")  # networkx and Lava warn about themselves
def test_the_example_of_the_docstring_runs_on_lavas_own_source_and_sink():
    (example,) = [test for test in doctest.DocTestFinder().find(Neuron, "Neuron") if test.examples]
    ran = doctest.DocTestRunner(verbose=False).run(example)
    assert (ran.attempted, ran.failed) == (len(example.examples), 0)
    assert ran.attempted > 10


@pytest.mark.filterwarnings("ignore")  # networkx and Lava warn about themselves
def test_numbers_can_be_set_between_runs():
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    source = Source(data=np.full((1, 9), 8))
    neuron = Neuron([resonator("fixed_pt")], schedule=Schedule(reset_period=3))
    sink = Sink(shape=(1,), buffer=9)
    source.s_out.connect(neuron.a_in)
    neuron.s_out.connect(sink.a_in)
    neuron.run(RunSteps(4), Loihi2SimCfg(select_tag="fixed_pt"))
    neuron.c_re.set(np.array([[-1]]))  # in the middle of a sample
    assert neuron.c_re.get().tolist() == [[-1]]
    neuron.run(RunSteps(1), Loihi2SimCfg(select_tag="fixed_pt"))
    neuron.state_re.set(np.array([[100]]))
    neuron.run(RunSteps(2), Loihi2SimCfg(select_tag="fixed_pt"))
    got = sink.data.get()
    neuron.stop()
    # 8, 12, 14; 8, then of the other sign -12, from 100 to 58; 8 in a new sample
    assert got[0, :7].tolist() == [8, 12, 14, 8, -12, -58, -8]


@pytest.mark.filterwarnings("ignore")  # networkx and Lava warn about themselves
def test_s4d_of_lava_gives_the_same_real_outputs():
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source
    from lava.proc.s4d.process import S4d

    rng = np.random.default_rng(0)
    H, N, L = 3, 4, 40
    dt = np.exp(rng.uniform(np.log(1e-3), np.log(0.1), (H, 1)))
    A = -0.5 + 1j * np.pi * np.arange(N)
    a, b = (1 + dt * A / 2) / (1 - dt * A / 2), dt / (1 - dt * A / 2)
    c = rng.normal(size=(H, N)) + 1j * rng.normal(size=(H, N))
    u = rng.normal(size=(H, L))

    # theirs has one mode per neuron and no direct path: the input goes to every mode of a channel
    source = Source(data=np.repeat(u, N, axis=0))
    theirs = S4d(
        shape=(H * N,),
        s4_exp=0,
        inp_exp=0,
        a=a.ravel(),
        b=b.ravel(),
        c=c.ravel(),
    )
    sink = Sink(shape=(H * N,), buffer=L)
    source.s_out.connect(theirs.a_in)
    theirs.s_out.connect(sink.a_in)
    theirs.run(RunSteps(L), Loihi2SimCfg(select_tag="floating_pt"))
    expected = sink.data.get().reshape(H, N, L).sum(axis=1)
    theirs.stop()

    source = Source(data=u)
    node = graph.SSMNode("ssm", ("u",), a, b * np.ones((H, N)), c, np.zeros(H))
    ours = Neuron([node], channels=H, schedule=Schedule(reset_period=L))
    sink = Sink(shape=(H,), buffer=L)
    source.s_out.connect(ours.a_in)
    ours.s_out.connect(sink.a_in)
    ours.run(RunSteps(L), Loihi2SimCfg(select_tag="floating_pt"))
    got = sink.data.get()
    ours.stop()

    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
