"""`verify` as a whole, in Python and at the command line: results, gates, refusals."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from neurossm import registry
from neurossm.cli import cli
from neurossm.compile import CompileOptions, compile_model
from neurossm.errors import InputError
from neurossm.graph.evaluate import evaluate
from neurossm.parity import comparison, verify
from neurossm.parity.engines import compared_tensors, in_program_order
from neurossm.program import SSM, reference

SAMPLES, STEPS = 7, 20


@pytest.fixture(scope="module")
def graph(networks):
    return networks.random_graph(3, channels=5, modes=2, blocks=2)


@pytest.fixture(scope="module")
def program(graph):
    return compile_model(graph)


@pytest.fixture(scope="module")
def data(networks, graph):
    return networks.random_data(graph.input, 1, batch=SAMPLES, steps=STEPS)


@pytest.fixture(scope="module")
def labels():
    return np.arange(SAMPLES) % 3


@pytest.fixture(scope="module")
def results(program, data, labels, graph):
    return verify(program, data, labels, graph, ("reference", "fast")).to_json()


def test_predictions_and_accuracies_of_every_rung(results, program, graph, data, labels):
    tops = {
        "float": evaluate(graph, data)["decoder"].argmax(axis=1),
        "approximated": evaluate(program.graph, data)["decoder"].argmax(axis=1),
        "fixed": reference.run(program, data).logits.argmax(axis=1),
    }
    for rung, top in tops.items():
        assert [row["prediction"][rung] for row in results["per_sample"]] == top.tolist()
        assert results["accuracy"][rung] == np.mean(top == labels)
    assert [row["label"] for row in results["per_sample"]] == labels.tolist()
    assert results["top1_agreement"] == np.mean(tops["float"] == tops["fixed"])
    difference = results["accuracy"]["fixed"] - results["accuracy"]["float"]
    assert results["paired_difference"]["difference"] == pytest.approx(difference)


def test_spikes_of_every_pair_of_rungs(results, program, graph, data):
    names = ["blocks.0.spike", "blocks.1.spike"]
    spikes = {
        "float": evaluate(graph, data, names),
        "approximated": evaluate(program.graph, data, names),
        "fixed": reference.run(program, data, names).tensors,
    }
    parts = {("float", "fixed"): results["layers"]}
    for key, part in results["rungs"].items():
        parts[tuple(key.split("_"))] = part["layers"]
    assert len(parts) == 3
    for (upper, lower), layers in parts.items():
        for name, layer in zip(names, layers, strict=True):
            differ = spikes[upper][name] != spikes[lower][name]
            assert layer["spikes_flipped"] == np.count_nonzero(differ)
            assert layer["spike_agreement"] == 1 - np.count_nonzero(differ) / differ.size
    for i, row in enumerate(results["per_sample"]):
        differ = np.stack([spikes["float"][n][i] != spikes["fixed"][n][i] for n in names])
        assert row["spike_agreement"] == pytest.approx(1 - differ.mean())
        steps = differ.any(axis=(0, 2))
        expected = int(steps.argmax()) if steps.any() else None
        found = row["first_divergence"]
        assert (found["step"] if found else None) == expected


def test_the_result_is_plain_and_says_what_it_rests_on(results):
    json.dumps(results, allow_nan=False)
    assert results["samples"] == SAMPLES
    assert results["highest_rung"] == "float"
    assert results["window_edges"][-1] == STEPS
    assert len(results["state_samples"]) == 4
    assert all("state_snr_db" in layer for layer in results["layers"])


def test_every_integer_is_counted(results, program, data):
    # Spikes, residuals and logits of all samples; every tensor and state of four of them.
    (pair,) = results["engines"]
    watched = compared_tensors(program)
    sizes = {}
    for name in in_program_order(program)[:-1]:
        op = program[name.partition(":state_")[0]]
        states = ":state_" in name
        sizes[name] = op.a_re.size if states and isinstance(op, SSM) else op.out.channels
    expected = sum(sizes[name] for name in watched) * SAMPLES * STEPS + 3 * SAMPLES
    expected += sum(size for name, size in sizes.items() if name not in watched) * 4 * STEPS
    assert pair["compared"] == expected
    assert (pair["mismatches"], pair["samples_in_full"]) == (0, 4)
    every = verify(program, data, engines=("reference", "fast"), integers="all").to_json()
    expected = sum(sizes.values()) * SAMPLES * STEPS + 3 * SAMPLES
    assert every["engines"][0]["compared"] == expected
    assert every["engines"][0]["samples_in_full"] == SAMPLES
    assert sum(every["engines"][0]["by_tensor"].values()) == expected


def test_three_engines_are_three_pairs_and_names_come_from_the_engines(program, data, monkeypatch):
    another = registry.Engine("another", {"cpu": "neurossm.program.reference"})
    known = {**registry.engines(), "another": another}
    monkeypatch.setattr(registry, "engines", lambda: known)
    found = verify(program, data, engines=("another", "reference", "fast", "another")).to_json()
    pairs = [(pair["a"], pair["b"]) for pair in found["engines"]]
    assert pairs == [("another", "reference"), ("another", "fast"), ("reference", "fast")]


def test_groups_pieces_and_threads_change_nothing(program, data, labels, graph, monkeypatch):
    def outcome():
        found = verify(program, data, labels, graph, ("reference",)).to_json()
        return json.dumps(found, sort_keys=True)

    whole = outcome()
    monkeypatch.setattr(comparison, "MEMORY_BYTES", 1)  # one sample at a time
    monkeypatch.setattr(comparison, "_PIECE_VALUES", 1 << 20)
    monkeypatch.setattr(comparison, "usable_cores", lambda: 1)
    assert outcome() == whole


@pytest.mark.parametrize("steps", [1, 2, 17])
def test_one_sample_of_few_steps(program, graph, networks, steps):
    data = networks.random_data(graph.input, 2, batch=1, steps=steps)
    found = verify(program, data, np.array([1]), graph, ("reference", "fast")).to_json()
    assert found["samples"] == len(found["per_sample"]) == 1
    assert found["window_edges"][-1] == steps
    assert found["engines"][0]["mismatches"] == 0
    json.dumps(found, allow_nan=False)


def test_gates(program, data, labels, graph):
    found = verify(program, data, labels, graph)
    assert found.passed
    worst = min(layer["spike_agreement"] for layer in found.to_json()["layers"])
    worst = min(worst, found.to_json()["top1_agreement"])
    drop = -found.to_json()["paired_difference"]["difference"]
    exact = verify(program, data, labels, graph, min_agreement=worst, max_drop=drop)
    assert exact.passed
    assert [c["name"] for c in exact.to_json()["checks"]] == [
        "no saturation where proved",
        "top-1 agreement",
        "blocks.0 spikes",
        "blocks.1 spikes",
        "accuracy drop",
    ]
    tighter = verify(program, data, labels, graph, max_drop=drop - 0.01)
    assert not tighter.passed
    assert [c["name"] for c in tighter.to_json()["checks"] if not c["ok"]] == ["accuracy drop"]


def test_coarse_integers_fail_the_agreement(graph, data):
    from neurossm.compile.options import Widths

    coarse = compile_model(graph, options=CompileOptions(widths=Widths(drive=6, weight=3)))
    found = verify(coarse, data, None, graph, min_agreement=1.0)
    assert not found.passed
    failed = [check["name"] for check in found.to_json()["checks"] if not check["ok"]]
    assert failed
    assert all("spikes" in name or "top-1" in name for name in failed)


def test_without_labels_there_is_no_accuracy(program, data):
    found = verify(program, data).to_json()
    assert set(found["accuracy"].values()) == {None}
    assert found["paired_difference"] is None
    assert found["highest_rung"] == "approximated"
    assert found["rungs"]["float_approximated"] is None
    assert found["per_sample"][0]["label"] is None
    assert found["per_sample"][0]["prediction"]["float"] is None


def test_clipped_integers_are_warned_about_by_name(networks):
    program = networks.random_program(1, saturating=1.0)
    data = networks.random_data(program.input, 0, batch=4, steps=30)
    found = verify(program, data, engines=("reference",))
    counts = reference.run(program, data).saturations
    assert counts
    assert found.to_json()["saturations"] == counts
    assert len(found.warnings) == len(counts)
    for warning, (name, count) in zip(found.warnings, counts.items(), strict=True):
        assert warning.startswith(f"{count} integers of {name} were clipped, as its range is cal")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": np.zeros((0, 5, 1), np.uint8)}, "no samples or no steps"),
        ({"data": np.zeros((3, 0, 1), np.uint8)}, "no samples or no steps"),
        ({"data": np.zeros((3, 5, 1))}, "expected uint8"),
        ({"labels": None, "max_drop": 0.1}, "needs labels"),
        ({"labels": np.array([0, 1])}, r"expected \(7,\)"),
        ({"labels": np.full(SAMPLES, 3)}, "classes 0 to 2"),
        ({"engines": ("quick",)}, "'quick' is unknown; known: fast, reference"),
        ({"engines": ()}, "none given"),
        ({"min_agreement": 1.5}, "fraction from 0 to 1"),
        ({"max_drop": 2.0}, "fraction from -1 to 1"),
        ({"integers": "some"}, "one of sample, all"),
        ({"state_samples": -1}, "integer of at least 0"),
    ],
)
def test_refusals_are_one_line(program, data, labels, changes, said):
    arguments = {"data": data, "labels": labels} | changes
    with pytest.raises(InputError, match=said) as caught:
        verify(program, **arguments)
    assert "\n" not in str(caught.value)


def test_a_program_without_floats_compares_engines_only(networks):
    program = networks.random_program(1)
    data = networks.random_data(program.input, 0)
    found = verify(program, data, engines=("reference", "fast"))
    assert found.passed
    assert (found.to_json()["highest_rung"], found.to_json()["layers"]) == (None, [])
    assert found.to_json()["top1_agreement"] is None
    for options in ({"min_agreement": 0.5}, {"model": program.graph}):
        with pytest.raises(InputError, match="input alone"):
            verify(program, data, **options)


@pytest.fixture
def files(program, graph, data, labels, tmp_path):
    program.save(tmp_path / "p.h5")
    graph.save(tmp_path / "m.h5")
    np.savez(tmp_path / "d.npz", x=data, y=labels)
    return tmp_path


def test_the_command_writes_table_json_and_figures(files):
    words = ["verify", "p.h5", "--data", "d.npz", "--model", "m.h5", "--plots", "figures"]
    words = [str(files / word) if "." in word or word == "figures" else word for word in words]
    result = CliRunner().invoke(cli, [*words, "--json", str(files / "v.json")])
    assert result.exit_code == 0, result.output
    for text in ("Accuracy", "float - approximated", "over time", "McNemar", "passed"):
        assert text in result.stdout
    assert json.loads((files / "v.json").read_text())["passed"] is True
    names = {"accuracy", "agreement", "in-time", "noise", "margins"}
    drawn = {path.name for path in (files / "figures").iterdir()}
    assert drawn == {f"{name}.{suffix}" for name in names for suffix in ("png", "svg")}


def test_a_failed_gate_exits_with_one(files):
    words = ["verify", str(files / "p.h5"), "--data", str(files / "d.npz"), "--max-drop", "-1"]
    result = CliRunner().invoke(cli, words)
    assert result.exit_code == 1
    assert "FAILED" in result.stdout


def test_samples_that_end_early_count_only_valid_steps(program, graph, data, networks, labels):
    """Every count is the sum over samples alone, cut to their lengths."""
    lengths = np.random.default_rng(1).integers(1, STEPS + 1, SAMPLES)
    padded = data.copy()
    for i, length in enumerate(lengths):
        padded[i, length:] = 0
    engines = ("reference", "fast")
    how = {"integers": "all", "state_samples": SAMPLES}
    found = verify(program, padded, labels, graph, engines, lengths=lengths, **how)
    alone = [
        verify(program, data[i : i + 1, :length], labels[i : i + 1], graph, engines, **how)
        for i, length in enumerate(lengths)
    ]
    assert found.passed
    assert found.steps == max(lengths)
    assert [sample.steps for sample in found.per_sample] == lengths.tolist()
    for a, b in zip(found.per_sample, (one.per_sample[0] for one in alone), strict=True):
        assert a == b
    for name in ("compared", "mismatches"):
        total = sum(getattr(one.engines[0], name) for one in alone)
        assert getattr(found.engines[0], name) == total
    for number, layer in enumerate(found.layers):
        apart = [one.layers[number] for one in alone]
        assert layer.spikes_compared == sum(one.spikes_compared for one in apart)
        assert layer.spikes_flipped == sum(one.spikes_flipped for one in apart)
        assert layer.divergence.samples_diverged == sum(
            one.divergence.samples_diverged for one in apart
        )
        fired = sum(one.firing_rate * one.spikes_compared for one in apart)
        assert layer.firing_rate * layer.spikes_compared == pytest.approx(fired)
    right = [one.accuracy["fixed"] for one in alone]
    assert found.accuracy["fixed"] == pytest.approx(np.mean(right))
