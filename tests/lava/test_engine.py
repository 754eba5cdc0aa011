"""Lava against the definition: the same integers, every step, every state, in one stream."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from neurossm import lava, registry
from neurossm.compile import CompileOptions, Widths, compile_model
from neurossm.errors import (
    InputError,
    LimitError,
    MissingDependencyError,
    RunError,
    UnsupportedError,
)
from neurossm.graph.evaluate import evaluate
from neurossm.hw_profiles import load_profile
from neurossm.lava import availability
from neurossm.program import reference

EXAMPLES = 50
AWKWARD = [(), ("thresholds",), ("huge_gains",), ("huge_gains", "negative_gains"), ("zero_rows",)]
SETTINGS = settings(
    max_examples=EXAMPLES // 2,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would take many minutes
)


@st.composite
def sizes(draw):
    """Draw the shape of a network; 1 and odd numbers are likely."""
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
def compilations(draw):
    """Draw what a float network is like, and how it is compiled."""
    graph = {
        "tied": draw(st.booleans()),
        "pole_kind": draw(st.sampled_from(["lin", "inv", "undamped"])),
        "awkward": draw(st.sampled_from(AWKWARD)),
    }
    widths = Widths(
        weight=draw(st.sampled_from([4, 8])),
        pole=draw(st.sampled_from([10, 16])),
        state=draw(st.sampled_from([20, 24])),
    )
    scaling = draw(st.sampled_from(["proved", "calibrated"]))
    return graph, CompileOptions(widths=widths, scaling=scaling, headroom_bits=0)


def test_lava_equals_the_reference_on_random_programs(worker, networks, new_tally):
    tally = new_tally()

    @SETTINGS
    @given(seed=st.integers(0, 2**31), size=sizes(), saturating=st.sampled_from([0.0, 0.3]))
    def check(seed, size, saturating):
        program = networks.random_program(seed, **size, saturating=saturating)
        data = networks.random_data(program.input, seed + 1, batch=3, steps=12)
        tally.compare(program, data, worker)

    check()
    between = tally.report("random programs")
    assert tally.programs["all"] >= EXAMPLES // 2
    assert tally.programs["saturating"] >= 3
    assert between >= 10


def test_lava_equals_the_reference_on_compiled_networks(worker, networks, new_tally):
    tally = new_tally()

    @SETTINGS
    @given(seed=st.integers(0, 2**31), size=sizes(), how=compilations())
    def check(seed, size, how):
        graph_options, options = how
        graph = networks.random_graph(seed, **size, **graph_options)
        data = networks.random_data(graph.input, seed + 1, batch=3, steps=12)
        try:  # calibrated on one quiet sample, so that the others go beyond it
            program = compile_model(graph, options=options, calibration=data[:1, :4])
        except LimitError:
            assume(False)
        tally.compare(program, data, worker)

    check()
    between = tally.report("compiled networks")
    assert tally.programs["all"] >= EXAMPLES // 2
    assert tally.programs["saturating"] >= 3
    assert tally.programs["negative exponents"] >= 1
    assert between >= 10


@pytest.mark.parametrize("steps", [1, 2, 7])
def test_samples_of_any_length_stream_without_gaps(worker, networks, new_tally, steps):
    program = networks.random_program(11, blocks=3, kind="float")
    data = networks.random_data(program.input, 1, batch=5, steps=steps)
    new_tally().compare(program, data, worker)


def test_a_sample_does_not_depend_on_its_neighbours(worker, networks):
    program = networks.random_program(12, blocks=2)
    data = networks.random_data(program.input, 1, batch=3, steps=9)
    together = lava.run(program, data, worker=worker)
    alone = [lava.run(program, data[i : i + 1], worker=worker).logits for i in range(3)]
    assert np.array_equal(together.logits, np.concatenate(alone))


@pytest.mark.parametrize("kind", ["uint8", "tokens", "float"])
@pytest.mark.parametrize("norm", ["pre", "post", "none"])
def test_floating_lava_equals_the_float_graph(worker, networks, kind, norm):
    graph = networks.random_graph(5, kind=kind, norm=norm, inputs=3, channels=5)
    data = networks.random_data(graph.input, 6, batch=2, steps=15)
    names = [node.name for node in graph.nodes if node.name not in ("mean", "decoder")]
    expected = evaluate(graph, data, record=names)
    got = lava.run_graph(graph, data, record=names, worker=worker)
    assert got.keys() == expected.keys()
    for name in names:
        scale = max(1.0, np.abs(expected[name]).max())
        np.testing.assert_allclose(got[name], expected[name], rtol=0, atol=1e-11 * scale)
        if name.endswith("spike"):
            assert np.array_equal(got[name], expected[name])
    np.testing.assert_allclose(got["decoder"], expected["decoder"], rtol=0, atol=1e-11)


def test_progress_counts_all_steps_and_those_that_drain_the_pipeline(worker, networks):
    program = networks.random_program(13, blocks=2)
    data = networks.random_data(program.input, 1, batch=20, steps=40)
    seen = []
    lava.run(program, data, worker=worker, progress=lambda *told: seen.append(told))
    assert seen == sorted(seen)
    total = 20 * 40 + lava.plan_program(program).drain_steps
    assert seen[-1] == ("running", total, total)


def test_time_out_says_how_far_it_came(networks):
    program = networks.random_program(14, blocks=1)
    data = networks.random_data(program.input, 1, batch=200, steps=500)
    with pytest.raises(RunError, match=r"did not finish in time \(step \d+ of 100002\)"):
        lava.run(program, data, timeout=4)


def test_runs_of_a_block_share_a_worker_which_ends_with_it(networks, monkeypatch):
    """It is started when it is needed, and again after a run that ended it."""
    started = []

    class Counted(lava.Worker):
        def __init__(self) -> None:
            super().__init__()
            started.append(self)

    monkeypatch.setattr(lava.worker, "Worker", Counted)
    program = networks.random_program(14, blocks=1)
    data = networks.random_data(program.input, 1, batch=200, steps=500)
    expected = reference.run(program, data[:2, :9]).logits
    with registry.kept(["fast", "lava"]):
        assert not started
        with registry.kept(["lava"]):
            assert np.array_equal(lava.run(program, data[:2, :9]).logits, expected)
        assert np.array_equal(lava.run(program, data[:2, :9]).logits, expected)
        assert len(started) == 1
        with pytest.raises(RunError, match="did not finish in time"):
            lava.run(program, data, timeout=0.2)
        assert np.array_equal(lava.run(program, data[:2, :9]).logits, expected)
        assert started[0].process.returncode == 0
        assert started[1].process.poll() is None
    assert len(started) == 2
    for worker in started:
        assert worker.process.returncode == 0
        assert not worker.folder.exists()


def test_what_is_wrong_with_the_input_is_said_before_lava_starts(networks, monkeypatch):
    monkeypatch.setattr(lava.worker, "Worker", None)
    program = networks.random_program(15)
    data = networks.random_data(program.input, 1)
    with pytest.raises(InputError, match="no tensor 'nothing'"):
        lava.run(program, data, record=["nothing"])
    with pytest.raises(InputError):
        lava.run(program, data.astype(float))
    with pytest.raises(InputError, match="no tensor 'mean'"):
        lava.run_graph(networks.random_graph(0), data, record=["mean"])


def test_lava_missing_says_how_to_get_it(networks, monkeypatch):
    monkeypatch.setattr(availability, "_exists", lambda module: False)
    program = networks.random_program(15)
    with pytest.raises(MissingDependencyError, match=r"Python 3\.10 exactly.*neurossm\[lava\]"):
        lava.run(program, networks.random_data(program.input, 1))


@pytest.mark.parametrize("target", ["loihi2", "mychip"])
def test_what_the_simulation_does_not_stand_for_is_refused(networks, target):
    """By the profile's own words, whatever its name is; also in files that carry no profile."""
    text = load_profile("loihi2").text.replace('name = "loihi2"', f'name = "{target}"')
    program = replace(networks.random_program(15), target=target, profile=text)
    data = networks.random_data(program.input, 1)
    with pytest.raises(
        UnsupportedError, match=f"'{target}' does not run .*: it is the chip.*neurossm.lava.models"
    ):
        lava.run(program, data)
    if target == "loihi2":
        with pytest.raises(UnsupportedError, match="loihi2-sim is its simulation"):
            lava.run(replace(program, profile=None), data)


@pytest.mark.filterwarnings("ignore")  # networkx and Lava warn about themselves
@pytest.mark.parametrize("mixer", ["binary", "gsu"])
def test_users_run_a_network_themselves(networks, mixer):
    from lava.magma.core.run_conditions import RunSteps
    from lava.magma.core.run_configs import Loihi2SimCfg

    program = networks.random_program(16, blocks=1, mixer=mixer)
    data = networks.random_data(program.input, 1, batch=2, steps=6)
    network = program.to_lava(data)
    assert network.latency_steps == 2
    assert network.steps == 2 * 6 + 2
    network.readout.run(RunSteps(network.steps), Loihi2SimCfg(select_tag=network.tag))
    logits = network.readout.logits.get()
    network.readout.stop()
    assert np.array_equal(logits, reference.run(program, data).logits[-1])
