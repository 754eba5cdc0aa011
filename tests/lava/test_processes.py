"""Every process alone on Lava, in both number systems, against hand arithmetic."""

import sys
from inspect import getmembers

import numpy as np
import pytest
from lava.magma.core.model.py.type import LavaPyType
from lava.magma.core.run_conditions import RunSteps
from lava.magma.core.run_configs import Loihi2SimCfg

from neurossm.errors import RunError
from neurossm.lava import (
    GLU,
    GSU,
    SSM,
    Affine,
    Decoder,
    DynamicTernary,
    Embedding,
    LayerNorm,
    Modes,
    Normalise,
    Player,
    Product,
    Readout,
    Rescale,
    Schedule,
    Segments,
    Sum,
    Ternary,
    TernarySSM,
)
from neurossm.lava.plan import Plan, Stage, Wire
from neurossm.lava.primitives import Weights

TAGS = {"fixed_pt": np.int64, "floating_pt": np.float64}


def dense(weight, message_bits=8):
    return ("Dense", {"weights": Weights(np.array(weight), message_bits)}, "s_in", "a_out")


def column(*values):
    return np.array(values, dtype=np.int32)[:, None]


@pytest.mark.parametrize(
    "kind", [SSM, TernarySSM, GLU, GSU, Affine, LayerNorm, Embedding, Player, Readout]
)
def test_every_model_is_tagged_and_fixed_point_ones_hold_integers(kind):
    # Lava takes an untagged model under any tag, and casts floats to the declared type in silence
    module = sys.modules[kind.__module__]
    models = [
        item for item in vars(module).values() if getattr(item, "implements_process", None) is kind
    ]
    assert sorted(tuple(model.tags) for model in models) == [("fixed_pt",), ("floating_pt",)]
    (fixed,) = [model for model in models if model.tags == ["fixed_pt"]]
    declared = {name: t for name, t in getmembers(fixed) if isinstance(t, LavaPyType)}
    assert declared
    for name, declaration in declared.items():
        assert np.dtype(declaration.d_type).kind in "ib", name


@pytest.mark.parametrize("tag", TAGS)
def test_affine(play, chain, tag):
    # (3x >> 1) + 1, nearest: x = 1 -> 1.5 -> 2 + 1; x = -1 -> -1.5 -> -1 + 1
    settings = {"rescale": Rescale([3], [1], [1])}
    plan = chain(("Affine", settings, "a_in", "y_out"), tag=tag)
    wanted = {
        "a": ("Affine.0", "a", (3, 1), TAGS[tag]),
        "y": ("Affine.0", "y", (3, 1), TAGS[tag]),
    }
    got = play(plan, column(1, -1, 4), 3, wanted)
    assert got["a"].ravel().tolist() == [1, -1, 4]
    expected = [3, 0, 7] if tag == "fixed_pt" else [2.5, -0.5, 7.0]
    assert got["y"].ravel().tolist() == expected


def test_affine_in_float(play, chain):
    plan = chain(
        ("Affine", {"rescale": Rescale([3.0], 0, [0.5])}, "a_in", "y_out"), tag="floating_pt"
    )
    got = play(plan, np.array([[1.25], [-2.0]]), 2, {"y": ("Affine.0", "y", (2, 1), float)})
    assert got["y"].ravel().tolist() == [4.25, -5.5]


@pytest.mark.parametrize("tag", TAGS)
def test_ssm_resets_between_samples_and_spikes_above_threshold(play, chain, tag):
    # pole 1/2: s = s/2 + u, y = s + 0; samples of 3 steps: (8, 0, 0), (4, 0, 0); threshold 2
    modes = Modes([[1]], [[0]], [[1]], [[0]], [0], pole_shift=1)
    settings = {"modes": modes, "threshold": np.array([2])}
    plan = chain(("SSM", settings, "a_in", "s_out"), tag=tag)
    wanted = {
        "y": ("SSM.0", "y", (6, 1), TAGS[tag]),
        "s": ("SSM.0", "s", (6, 1), np.int8),
        "state": ("SSM.0", "state_re", (6, 1, 1), TAGS[tag]),
    }
    got = play(plan, column(8, 0, 0, 4, 0, 0), 3, wanted)
    assert got["y"].ravel().tolist() == [8, 4, 2, 4, 2, 1]
    assert got["state"].ravel().tolist() == [8, 4, 2, 4, 2, 1]
    assert got["s"].ravel().tolist() == [1, 1, 0, 1, 0, 0]


@pytest.mark.parametrize("tag", TAGS)
def test_ssm_scales_its_input(play, chain, tag):
    # u = 2x + 1, y = d u = 3u
    modes = Modes([[0]], [[0]], [[0]], [[0]], [3])
    settings = {"modes": modes, "threshold": np.array([0]), "rescale": Rescale([2], 0, [1])}
    wanted = {name: ("SSM.0", name, (2, 1), TAGS[tag]) for name in ("a", "u", "y")}
    got = play(chain(("SSM", settings, "a_in", "y_out"), tag=tag), column(5, -5), 1, wanted)
    assert got["a"].ravel().tolist() == [5, -5]
    assert got["u"].ravel().tolist() == [11, -9]
    assert got["y"].ravel().tolist() == [33, -27]


@pytest.mark.parametrize("tag", TAGS)
def test_ternary_ssm_sends_graded_values_and_three_kinds_of_spikes(play, chain, tag):
    # pole 1/2: s = s/2 + u, y = s; graded g = y/2 + 1; threshold 3; samples of 3 steps
    settings = {
        "modes": Modes([[1]], [[0]], [[1]], [[0]], [0], pole_shift=1),
        "graded": Rescale([1], [1], [1]),
        "ternary": Ternary(3),
    }
    # y = 8, 4, 2 and -16, -8, -4; g = 5, 3, 2 and -7, -3, -1
    data = column(8, 0, 0, -16, 0, 0)
    identity = {"rescale": Rescale([1])}
    wanted = {
        "y": ("TernarySSM.0", "y", (6, 1), TAGS[tag]),
        "graded": ("TernarySSM.0", "graded", (6, 1), TAGS[tag]),
        "s": ("TernarySSM.0", "s", (6, 1), np.int8),
        "received": ("Affine.1", "a", (6, 1), TAGS[tag]),
    }
    for port, expected in (("y_out", [5, 3, 2, -7, -3, -1]), ("s_out", [1, 0, 0, -1, 0, 0])):
        plan = chain(
            ("TernarySSM", settings, "a_in", port), ("Affine", identity, "a_in", "y_out"), tag=tag
        )
        got = play(plan, data, 3, wanted)
        assert got["y"].ravel().tolist() == [8, 4, 2, -16, -8, -4]
        assert got["graded"].ravel().tolist() == [5, 3, 2, -7, -3, -1]
        assert got["s"].ravel().tolist() == [1, 0, 0, -1, 0, 0]
        assert got["received"].ravel().tolist() == expected


def test_ternary_spikes_keep_their_sign_through_lavas_dense(play, chain):
    # two neurons without memory: y = u; the Dense must see -1 and 1, not 1 and 1
    modes = Modes([[0], [0]], [[0], [0]], [[0], [0]], [[0], [0]], [1, 1])
    settings = {"modes": modes, "ternary": Ternary([10, 10])}
    identity = {"rescale": Rescale([1])}
    plan = chain(
        ("TernarySSM", settings, "a_in", "s_out"),
        dense([[3, -5]], 2),
        ("Affine", identity, "a_in", "y_out"),
    )
    data = np.array([[11, -11], [-11, 10], [11, 11]], np.int32)
    got = play(plan, data, 3, {"a": ("Affine.2", "a", (3, 1), np.int64)})
    assert got["a"].ravel().tolist() == [8, -3, -2]


def test_dynamic_threshold_looks_at_all_channels(play, chain):
    modes = Modes([[0], [0]], [[0], [0]], [[0], [0]], [[0], [0]], [1, 1])
    settings = {"modes": modes, "ternary": DynamicTernary(0.5)}
    plan = chain(("TernarySSM", settings, "a_in", "s_out"), tag="floating_pt")
    data = np.array([[1.0, -3.0], [2.0, -3.0]])
    got = play(plan, data, 2, {"s": ("TernarySSM.0", "s", (2, 2), np.int8)})
    assert got["s"].tolist() == [[0, -1], [1, -1]]
    plan = chain(("TernarySSM", settings, "a_in", "s_out"))
    with pytest.raises(RunError, match="DynamicTernary has no fixed_pt form; use Ternary with a"):
        play(plan, column(1, 1).reshape(1, 2), 1, {})


@pytest.mark.parametrize("tag", TAGS)
def test_layer_norm(play, chain, tag):
    # mean 2, deviations 1 and -1, standard deviation 1: y = 8 * (+-1) + 1 of gain 8 sqrt(2)
    normalise = {"normalise": Normalise([11585, 11585], 30, [1, 1], 0)}  # 8 sqrt(2) = 11585 / 2^10
    plan = chain(("LayerNorm", normalise, "a_in", "y_out"), tag=tag)
    wanted = {role: ("LayerNorm.0", role, (2, 2), TAGS[tag]) for role in ("a", "y")}
    got = play(plan, np.array([[3, 1], [5, 5]], np.int32), 2, wanted)
    assert got["a"].tolist() == [[3, 1], [5, 5]]
    np.testing.assert_allclose(got["y"], [[9, -7], [1, 1]], rtol=1e-4 * (tag != "fixed_pt"))


def scaling(name, weight):
    """Stage of a Dense that multiplies the input by a number."""
    weights = {"weights": Weights(np.array([[weight]]), 8)}
    return Stage("Dense", name, weights, {"s_in": Wire("input", "s_out")}, 0)


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("full", [True, False])
def test_gsu_adds_the_residual_of_the_same_step(play, tag, full):
    # x = 10, 20, 30 goes through two Dense (2x and -x, one step late) and around them
    unit = {"product": Product([3]), "total": Sum()}
    if full:
        unit |= {
            "first": Rescale([1], 0, [1]),
            "second": Rescale([-1], 0, [2]),
            "gate_norm": Rescale([1], [1], [-4]),
            "activation": Segments(origin=0, width=10, base=[5], slope=[2]),
            "norm": Rescale([-1], 0, [7]),
        }
    ports = {
        "first_in": Wire("one", "a_out"),
        "second_in": Wire("two", "a_out"),
        "x_in": Wire("input", "s_out"),
    }
    stages = (
        Stage("Player", "input", {"bits": 32}, {}, 0),
        scaling("one", 2),
        scaling("two", -1),
        Stage("GSU", "gsu", unit, ports, 1),
    )
    roles = ("first_in", "second_in", "first", "second", "product", "gate_norm", "activation")
    wanted = {role: ("gsu", role, (3, 1), TAGS[tag]) for role in (*roles, "sum", "y")}
    got = {
        k: v.ravel().tolist()
        for k, v in play(Plan(stages, tag), column(10, 20, 30), 3, wanted).items()
    }
    assert got["first_in"] == [20, 40, 60]
    assert got["second_in"] == [-10, -20, -30]
    fixed = tag == "fixed_pt"
    if not full:
        # 20*-10/8 = -25, 40*-20/8 = -100, 60*-30/8 = -225
        assert got["product"] == got["activation"] == [-25, -100, -225]
        assert got["sum"] == got["y"] == [-15, -80, -195]
        return
    assert got["first"] == [21, 41, 61]
    assert got["second"] == [12, 22, 32]
    # 252/8 = 31.5, 902/8 = 112.75, 1952/8 = 244; half of it less 4, then 5 + 2 of that
    assert got["product"] == ([32, 113, 244] if fixed else [31.5, 112.75, 244])
    assert got["gate_norm"] == ([12, 53, 118] if fixed else [11.75, 52.375, 118])
    assert got["activation"] == ([29, 111, 241] if fixed else [28.5, 109.75, 241])
    assert got["sum"] == [x + a for x, a in zip((10, 20, 30), got["activation"], strict=True)]
    assert got["y"] == [7 - total for total in got["sum"]]


@pytest.mark.parametrize("tag", TAGS)
def test_glu_adds_the_residual_of_the_same_step(play, tag):
    # x = 10, 20, 30 goes to Dense (value = x, gate = -x, one step late) and around it
    unit = {
        "value": Rescale([2], 0, [1]),
        "gate": Rescale([1], 0, [0]),
        "sigmoid": Segments(origin=0, width=3, base=[5], slope=[1]),  # 5 + gate
        "product": Product([1]),
        "total": Sum(),
        "norm": Rescale([-1], 0, [7]),
    }
    stages = (
        Stage("Player", "input", {"bits": 32}, {}, 0),
        Stage(
            "Dense",
            "mix",
            {"weights": Weights(np.array([[1], [-1]]), 8)},
            {"s_in": Wire("input", "s_out")},
            0,
        ),
        Stage(
            "GLU",
            "glu",
            unit,
            {"a_in": Wire("mix", "a_out"), "x_in": Wire("input", "s_out")},
            1,
        ),
    )
    roles = ("value_in", "gate_in", "value", "gate", "sigmoid", "product", "sum", "y")
    wanted = {role: ("glu", role, (3, 1), TAGS[tag]) for role in roles}
    got = {
        k: v.ravel().tolist()
        for k, v in play(Plan(stages, tag), column(10, 20, 30), 3, wanted).items()
    }
    assert got["value_in"] == [10, 20, 30]
    assert got["gate_in"] == [-10, -20, -30]
    assert got["value"] == [21, 41, 61]
    assert got["sigmoid"] == [-5, -15, -25]
    # 21*-5/2 = -52.5 -> -52, 41*-15/2 = -307.5 -> -307, 61*-25/2 = -762.5 -> -762
    exact = [-52.5, -307.5, -762.5]
    product = [-52, -307, -762] if tag == "fixed_pt" else exact
    assert got["product"] == product
    assert got["sum"] == [x + p for x, p in zip((10, 20, 30), product, strict=True)]
    assert got["y"] == [7 - total for total in got["sum"]]


@pytest.mark.parametrize("tag", TAGS)
def test_embedding_selects_rows(play, chain, tag):
    weight = np.array([[1, -2], [3, 4], [-300, 70000]])
    if tag == "floating_pt":
        weight = weight / 8
    plan = chain(("Embedding", {"weight": weight}, "token_in", "y_out"), tag=tag)
    wanted = {"y": ("Embedding.0", "y", (4, 2), TAGS[tag])}
    got = play(plan, column(2, 0, 1, 2), 4, wanted)
    assert got["y"].tolist() == weight[[2, 0, 1, 2]].tolist()


@pytest.mark.parametrize("tag", TAGS)
def test_readout_decodes_each_sample_by_itself(play, chain, tag):
    # samples of 2 steps: sums 3 and -5; z = 3 sum + 2 n; n = 2
    settings = {"decoder": Decoder([[3]], [2])}
    plan = chain(("Readout", settings, "x_in", ""), tag=tag)
    wanted = {"logits": ("Readout.0", "logits", (2, 1), TAGS[tag])}
    got = play(plan, column(1, 2, -4, -1), 2, wanted)
    # 9/2 + 2 = 6.5 -> 7; -15/2 + 2 = -5.5 -> -5
    expected = [7, -5] if tag == "fixed_pt" else [6.5, -5.5]
    assert got["logits"].ravel().tolist() == expected


def test_player_refuses_what_the_wire_would_wrap(play, chain):
    plan = chain(("Affine", {"rescale": Rescale([1])}, "a_in", "y_out"), bits=8)
    with pytest.raises(RunError, match=r"input, step 3: value 128 does not fit 8 bits"):
        play(plan, column(127, -128, 128), 3, {})


def test_player_refuses_floats_in_fixed_point(play, chain):
    plan = chain(("Affine", {"rescale": Rescale([1])}, "a_in", "y_out"))
    with pytest.raises(RunError, match="data of type float64; the fixed_pt model needs integers"):
        play(plan, np.array([[1.7]]), 1, {})


def test_fixed_point_models_refuse_float_parameters(play, chain):
    plan = chain(("Affine", {"rescale": Rescale([1.5])}, "a_in", "y_out"))
    with pytest.raises(RunError, match=r"Rescale\.gain holds float64"):
        play(plan, column(1), 1, {})


def test_embedding_refuses_a_foreign_token(play, chain):
    plan = chain(("Embedding", {"weight": np.ones((2, 1), int)}, "token_in", "y_out"))
    with pytest.raises(RunError, match=r"step 2: token 2 is not in the vocabulary of 2"):
        play(plan, column(1, 2), 2, {})


class TestDense:
    """Lava's own Dense, with the mantissas and message widths that the builder gives it."""

    def run(self, play, chain, weight, data, message_bits=8, tag="fixed_pt"):
        weight, data = np.array(weight), np.array(data)
        identity = {"rescale": Rescale(np.ones(len(weight), int))}
        plan = chain(dense(weight, message_bits), ("Affine", identity, "a_in", "y_out"), tag=tag)
        shape = (len(data), len(weight))
        got = play(plan, data, len(data), {"a": ("Affine.1", "a", shape, TAGS[tag])})
        return got["a"]

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
def test_ssm_example_from_its_docstring_runs_on_lavas_own_source_and_sink():
    from lava.proc.io.sink import RingBuffer as Sink
    from lava.proc.io.source import RingBuffer as Source

    data = np.zeros((1, 50), int)
    data[0, 0] = 100
    source = Source(data=data)
    modes = Modes(a_re=[[0]], a_im=[[58982]], c_re=[[1]], c_im=[[0]], d=[0], pole_shift=16)
    neuron = SSM(modes=modes, threshold=[50], schedule=Schedule(reset_period=50))
    sink = Sink(shape=(1,), buffer=50)
    source.s_out.connect(neuron.a_in)
    neuron.s_out.connect(sink.a_in)
    neuron.run(RunSteps(50), Loihi2SimCfg(select_tag="fixed_pt"))
    spikes = sink.data.get()
    neuron.stop()
    assert np.flatnonzero(spikes).tolist() == [0, 4]


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

    folded = 2 * b * c
    source = Source(data=u)
    modes = Modes(a.real, a.imag, folded.real, folded.imag, np.zeros(H))
    ours = SSM(modes=modes, schedule=Schedule(reset_period=L))
    sink = Sink(shape=(H,), buffer=L)
    source.s_out.connect(ours.a_in)
    ours.y_out.connect(sink.a_in)
    ours.run(RunSteps(L), Loihi2SimCfg(select_tag="floating_pt"))
    got = sink.data.get()
    ours.stop()

    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(got, expected, rtol=0, atol=1e-12)
