"""Tuning: what is found holds, is as narrow as claimed, and is what the compiler then uses."""

from __future__ import annotations

import contextlib
import itertools
import json

import numpy as np
import pytest
from click.testing import CliRunner

from neurossm import program as p
from neurossm.cli import cli
from neurossm.compile import CompileOptions, Widths, compile_model, prepare
from neurossm.compile.options import WIDTH_RANGES
from neurossm.compile.precision import load_precision
from neurossm.errors import InputError, LimitError
from neurossm.graph.evaluate import evaluate
from neurossm.hw_profiles import load_profile
from neurossm.parity.statistics import compare_paired
from neurossm.place.bytes import signed_bits
from neurossm.place.placement import place
from neurossm.program.reference import run
from neurossm.tuning import Score, TuneOptions, tune
from neurossm.tuning.judge import size_bytes
from neurossm.tuning.search import Tolerance, Trial
from neurossm.tuning.space import STREAM, WidthGroup, all_groups
from neurossm.tuning.tuner import _confirm, split

SAMPLES = 60
SETTINGS = TuneOptions(max_drop=0.1, samples=30, seed=3)


@pytest.fixture(scope="module")
def graph(networks):
    return networks.random_graph(5, channels=4, modes=2, blocks=1, classes=3)


@pytest.fixture(scope="module")
def data(graph, networks):
    return networks.random_data(graph.input, 8, batch=SAMPLES, steps=16)


@pytest.fixture(scope="module")
def tuning(graph, data):
    return tune(graph, data, None, SETTINGS)


def drop_of(graph, data, options):
    """Return the share of other predictions than in float, from the reference."""
    program = compile_model(graph, options=options)
    wanted = evaluate(graph, data)["decoder"].argmax(axis=1)
    return float((run(program, data).logits.argmax(axis=1) != wanted).mean())


def test_the_limit_holds_on_both_parts_by_a_count_of_its_own(graph, data, tuning):
    searching, confirming = split(SAMPLES, SETTINGS)
    options = tuning.precision.applied(CompileOptions())
    on_search = drop_of(graph, data[searching], options)
    on_others = drop_of(graph, data[confirming], options)
    assert on_search == pytest.approx(tuning.chosen.score.drop)
    assert on_others == pytest.approx(tuning.confirmed.drop)
    assert max(on_search, on_others) <= 0.1
    assert tuning.chosen.score.size_bytes < tuning.start.score.size_bytes


def test_one_bit_less_anywhere_breaks_the_limit_or_is_not_allowed(graph, data, tuning):
    searching, _ = split(SAMPLES, SETTINGS)
    widths = tuning.precision.default
    checked = 0
    for group, bits in tuning.found.choice.items():
        if bits == WIDTH_RANGES[group.width][0]:
            continue
        choice = {**tuning.found.choice, group: bits - 1}
        layers: dict[str, dict[str, int]] = {}
        for other, narrow in choice.items():
            if other.layer != STREAM:
                layers.setdefault(other.layer, {})[other.width] = narrow
        residual = choice[WidthGroup(STREAM, "residual")]
        options = CompileOptions(Widths(**{**vars(widths), "residual": residual}), layers)
        with contextlib.suppress(LimitError):
            assert drop_of(graph, data[searching], options) > 0.1, group
        checked += 1
    assert checked > 3


def test_the_file_compiles_to_exactly_these_widths(graph, data, tmp_path):
    graph.save(tmp_path / "m.h5")
    np.savez(tmp_path / "d.npz", x=data)
    out, program = tmp_path / "p.toml", tmp_path / "program.h5"
    arguments = ["--max-drop", "0.1", "--samples", "30", "--seed", "3"]
    arguments += ["--data", str(tmp_path / "d.npz"), "--json", str(tmp_path / "r.json")]
    done = CliRunner().invoke(cli, ["tune", str(tmp_path / "m.h5"), *arguments, "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "Pareto front" in done.output
    model = str(tmp_path / "m.h5")
    arguments = ["--target", "loihi2-sim", "-o", str(program), "--precision", str(out)]
    done = CliRunner().invoke(cli, ["compile", model, *arguments])
    assert done.exit_code == 0, done.output
    loaded = p.Program.load(program)
    bits = {
        (row["layer"], row["width"]): row["bits"]
        for row in json.loads((tmp_path / "r.json").read_text())["groups"]
    }
    ssm = loaded["blocks.0.ssm"]
    assert isinstance(ssm, p.SSM)
    assert ssm.state_bits == bits["blocks.0", "state"]
    assert signed_bits(np.stack([ssm.c_re, ssm.c_im])) == bits["blocks.0", "readout"]
    assert max(signed_bits(part) for part in ssm.stored_poles()) <= bits["blocks.0", "pole"]
    assert loaded["blocks.0.norm"].out.bits == bits["blocks.0", "drive"]
    assert loaded["blocks.0.value"].out.bits == bits["blocks.0", "mix"]
    assert signed_bits(loaded["blocks.0.value:sum"].weight) <= bits["blocks.0", "weight"]
    assert signed_bits(loaded["encoder:sum"].weight) == bits["encoder", "weight"]
    assert signed_bits(loaded.readout.weight) <= bits["decoder", "decoder"]
    assert loaded["blocks.0.add"].out.bits == bits[STREAM, "residual"]
    written = load_precision(out)
    recorded = loaded.provenance["options"]
    assert recorded["layers"] == written.layers
    assert recorded["widths"] == vars(written.default)


def test_the_same_seed_gives_the_same_outcome(graph, data, tuning):
    again = tune(graph, data, None, SETTINGS)
    assert again.path == tuning.path
    assert again.front == tuning.front
    assert again.precision == tuning.precision


def test_the_front_holds_what_nothing_beats(tuning):
    sizes = [score.size_bytes for score in tuning.front]
    agreements = [score.agreement for score in tuning.front]
    assert sizes == sorted(set(sizes))
    assert agreements == sorted(set(agreements))
    assert max(agreements) >= tuning.start.score.agreement


def test_every_step_of_the_way_holds_and_no_step_is_larger(tuning):
    limits = Tolerance(0.1)
    assert all(limits.hold(step.score) for step in tuning.path)
    sizes = [step.score.size_bytes for step in tuning.path]
    assert sizes == sorted(sizes, reverse=True)


def test_only_the_kinds_asked_for_change(graph, data):
    settings = TuneOptions(0.1, samples=30, only=("weight", "state"))
    tuning = tune(graph, data, None, settings)
    changed = {name for own in tuning.precision.layers.values() for name in own}
    assert changed <= {"weight", "state"}
    assert {group.width for group in tuning.groups} == {"weight", "state"}
    assert tuning.precision.default == Widths()


def test_without_trimming_widths_stay_on_rungs_that_save_bytes(graph, data):
    tuning = tune(graph, data, None, TuneOptions(0.1, samples=30, trim=False))
    for group, bits in tuning.chosen.choice.items():
        assert group.width == "weight" or bits in (8, 16, getattr(Widths(), group.width))
    sizes = [step.score.size_bytes for step in tuning.path]
    assert all(a > b for a, b in itertools.pairwise(sizes))


def test_bytes_are_those_of_the_placement(tuning, graph):
    program = compile_model(graph, options=tuning.precision.applied(CompileOptions()))
    placement = place(program, load_profile("loihi2-sim"))
    placed = sum(c.state_bytes + c.parameter_bytes + c.synapse_bytes for c in placement.cores)
    tables = sum(
        group.shared_bytes * (len(placement.cores_of(group.name)) - 1) for group in placement.groups
    )
    assert tuning.chosen.score.size_bytes == placed - tables
    assert size_bytes(program, 32) == placed - tables


def test_the_limit_is_a_fraction():
    right = np.ones(1000, bool)
    one, two = right.copy(), right.copy()
    one[:1] = False
    two[:2] = False

    def score(got):
        return Score(1, 1.0, 0.0, compare_paired(right, got))

    assert score(one).drop == pytest.approx(0.001)
    assert Tolerance(0.001).hold(score(one))
    assert not Tolerance(0.001).hold(score(two))
    assert Tolerance(0.0).hold(score(right))
    assert not Tolerance(0.0).hold(score(one))
    assert not Tolerance(100.0, min_agreement=1.0).hold(Score(1, 0.99, 0.0, score(one).paired))
    assert not Tolerance(100.0).hold(None)


def test_rungs_are_the_widths_that_can_save_bytes():
    assert [WidthGroup("b", "weight").rung(bits) for bits in (8, 3, 2)] == [7, 2, None]
    assert [WidthGroup("b", "state").rung(bits) for bits in (24, 20, 16, 8)] == [16, 16, 8, None]
    assert [WidthGroup("b", "pole").rung(bits) for bits in (16, 12, 8)] == [8, 8, None]


def test_the_groups_are_those_the_network_has(networks):
    gsu = prepare(networks.random_graph(0, mixer="gsu", blocks=1)).graph
    named = {str(group) for group in all_groups(gsu)}
    assert {"encoder weight", "blocks.0 graded", "decoder decoder", "stream residual"} <= named
    assert "encoder pole" not in named
    with pytest.raises(InputError, match="unknown; there are weight"):
        all_groups(gsu, ("colour",))
    binary = prepare(networks.random_graph(0, blocks=1)).graph
    with pytest.raises(InputError, match="no widths of graded"):
        all_groups(binary, ("graded",))


class _Search:
    """A way down of ten steps."""

    limits = Tolerance(0.01)

    def __init__(self):
        self.path = [Trial(None, {WidthGroup("b", "state"): i}, None) for i in range(10)]

    def program(self, choice):
        return choice[WidthGroup("b", "state")]


class _Judge:
    """Holds up to a step."""

    def __init__(self, last):
        self.last, self.asked = last, []

    def score(self, index):
        self.asked.append(index)
        right = np.ones(10, bool)
        return Score(0, 1.0, 0.0, compare_paired(right, right & (index <= self.last)))


@pytest.mark.parametrize("last", range(10))
def test_what_is_not_confirmed_is_taken_back_to_the_last_step_that_is(last):
    search, judge = _Search(), _Judge(last)
    step, score, confirmations = _confirm(search, judge, 10, None)
    assert step is search.path[last]
    assert score.drop == 0
    assert confirmations == len(judge.asked) <= 6


def test_a_start_that_is_not_confirmed_is_refused():
    with pytest.raises(LimitError, match="widths to begin with lose 1 of accuracy"):
        _confirm(_Search(), _Judge(-1), 10, None)


def test_no_sample_searches_and_confirms():
    for samples in (2, 3, 100, 5000):
        searching, confirming = split(samples, TuneOptions(samples=1000))
        assert not set(searching) & set(confirming)
        assert len(searching) + len(confirming) == samples
        assert len(searching) == min(1000, samples // 2)
    assert len(split(100, TuneOptions(confirming=7))[1]) == 7
    assert not np.array_equal(
        split(100, TuneOptions(seed=0))[0], split(100, TuneOptions(seed=1))[0]
    )
    with pytest.raises(InputError, match="at least 2"):
        split(1, TuneOptions())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"max_drop": -1.0}, "fraction from 0 to 1"),
        ({"max_drop": float("nan")}, "max_drop: nan"),
        ({"min_agreement": 1.5}, "from 0 to 1"),
        ({"samples": 0}, "samples: 0"),
        ({"confirming": 0}, "confirming: 0"),
    ],
)
def test_settings_out_of_range_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        TuneOptions(**fields)


def test_a_start_beyond_the_limits_is_refused_and_nothing_is_written(graph, data, tmp_path):
    labels = evaluate(graph, data)["decoder"].argmax(axis=1)
    options = CompileOptions(Widths(state=14, drive=6, weight=2))
    with pytest.raises(LimitError, match="the widths to begin with lose"):
        tune(graph, data, labels, TuneOptions(0.0, samples=30), options=options)
    graph.save(tmp_path / "m.h5")
    np.savez(tmp_path / "d.npz", x=data[:1])
    arguments = ["--data", str(tmp_path / "d.npz"), "-o", str(tmp_path / "p.toml")]
    done = CliRunner().invoke(cli, ["tune", str(tmp_path / "m.h5"), *arguments])
    assert done.exit_code == 1
    assert "at least 2" in done.output
    assert not (tmp_path / "p.toml").exists()


def test_data_and_labels_that_do_not_suit_are_refused(graph, data):
    with pytest.raises(InputError, match="labels reach from 0 to 3; the model has classes 0 to 2"):
        tune(graph, data, np.arange(SAMPLES) % 4)
    with pytest.raises(InputError, match="data: x has dtype float64"):
        tune(graph, data.astype(float))


def test_labels_decide_what_counts_as_lost(graph, data):
    searching, _ = split(SAMPLES, SETTINGS)
    wrong = (evaluate(graph, data)["decoder"].argmax(axis=1) + 1) % 3
    tuning = tune(graph, data, wrong, SETTINGS)  # the float model is always wrong
    assert tuning.float_accuracy == (0.0, 0.0)
    assert tuning.found.score.drop <= 0
    assert all(bits <= 8 or group.width != "mix" for group, bits in tuning.found.choice.items())
    assert len(searching) == tuning.samples[0]
