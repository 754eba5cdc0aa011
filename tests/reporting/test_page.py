from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from neurossm.compile import compile_model
from neurossm.datafile import Data
from neurossm.errors import InputError
from neurossm.parity import Check
from neurossm.place.groups import neuron_groups
from neurossm.program import LayerNorm, Program, unchecked
from neurossm.reporting import Evidence, gather, render, write_page, write_plots
from neurossm.reporting.plots_cost import short_names
from neurossm.reporting.tables import shown, tables

FIGURES = [
    *("accuracy", "agreement", "in-time", "noise", "margins"),
    *("rasters", "states", "operations", "energy", "cores"),
]


@pytest.fixture(scope="module")
def page(evidence: Evidence) -> str:
    return render(evidence)


def test_the_page_needs_nothing_else(page: str) -> None:
    references = re.findall(r"""\b(?:src|href|action|data)=["']([^"']*)""", page)
    outside = [r for r in references if not r.startswith(("#", "data:")) and r != ""]
    assert outside == []
    assert "@import" not in page
    assert re.findall(r"url\((?!#)", page) == []
    assert "default-src 'none'" in page  # and the browser is told to fetch nothing


def test_every_figure_and_table_is_there(page: str, evidence: Evidence) -> None:
    assert re.findall(r'<section id="plot-([^"]*)"', page) == FIGURES
    found = re.findall(r'<section id="table-([^"]*)"', page)
    assert found == [table.key for table in tables(evidence)]
    assert {"checks", "layers", "operations", "energies", "core-loads", "tensors"} <= set(found)
    assert page.count('<svg role="img"') == len(FIGURES)
    assert page.count('class="csv"') == len(found)


def test_identifiers_of_figures_do_not_clash(page: str) -> None:
    identifiers = re.findall(r'\bid="([^"]*)"', page)
    assert len(set(identifiers)) == len(identifiers)
    for target in re.findall(r'(?:url\(#|href="#)([^")]*)', page):
        assert target in identifiers


def test_figures_follow_the_colours_of_the_page(page: str) -> None:
    assert "#1b1f24" not in page.split("</style>")[1]  # ink became currentColor
    assert "currentColor" in page


def test_text_of_users_is_text(page: str) -> None:
    assert "digits &amp; &lt;b&gt;letters.npz" in page
    assert "<b>letters" not in page


def test_the_summary_says_what_matters(page: str, evidence: Evidence) -> None:
    head = page.split("<nav")[0]
    assert "Passed: 2 of 2 checks hold." in head
    assert "proxy (Loihi 1, pre-silicon)" in head
    assert "Only the first 6 of 50 samples were used." in head
    assert "static power of loihi2-sim is unknown" in head
    agreement = evidence.verification.top1_agreement
    assert f"<b>{agreement:.2%}</b>" in head


def test_a_failed_check_is_named(evidence: Evidence) -> None:
    checks = (Check("top-1 agreement", 0.5, 0.9, ok=False), Check("other", 1, 1, ok=True))
    failed = replace(evidence.verification, checks=checks, warnings=("w!",))
    assert not failed.passed
    page = render(replace(evidence, verification=failed))
    assert 'class="verdict bad"' in page
    assert "Failed: top-1 agreement." in page
    assert "<li>w!</li>" in page


def test_the_tables_hold_the_counts(evidence: Evidence) -> None:
    by_key = {table.key: table for table in tables(evidence)}
    operations = by_key["operations"]
    total = dict(zip(operations.columns, operations.rows[-1], strict=True))
    assert total["layer"] == "total"
    assert total["Effective ACs"] == evidence.cost.totals.Effective_ACs / 6
    assert total["state updates"] == 2 * 6 * 3 * 36  # blocks, channels, modes, steps
    assert len(by_key["core-loads"].rows) == len(evidence.cost.cores)
    for table in by_key.values():
        assert all(len(row) == len(table.columns) for row in table.rows)
    rungs = {row[0] for row in by_key["layers"].rows}
    assert rungs == {
        "trained to integers",
        "trained to approximated",
        "approximated to integers",
    }


def test_states_stay_within_their_bounds(evidence: Evidence) -> None:
    assert [states.layer for states in evidence.states] == ["blocks.0", "blocks.1"]
    for states in evidence.states:
        assert states.proved
        assert (states.used <= 0).all()
        assert states.peak <= states.bound <= states.capacity
        # 2 parts of 6 channels, 3 modes, 36 steps, less the zeros
        assert states.used.size == round((1 - states.zero_share) * 2 * 6 * 3 * 36)


def test_examples_are_of_different_classes(evidence: Evidence) -> None:
    assert [example.label for example in evidence.examples] == [0, 1, 2]
    assert [example.index for example in evidence.examples] == [0, 1, 2]
    example = evidence.examples[0]
    assert example.x.shape == (36, 1)
    assert example.spikes["blocks.1"].shape == (36, 6)
    assert set(np.unique(example.spikes["blocks.1"])) <= {0, 1}


def test_without_labels_there_is_no_accuracy(networks: ModuleType) -> None:
    graph = networks.random_graph(1, kind="tokens", inputs=9)
    tokens = np.random.default_rng(0).integers(0, 9, (2, 20))
    evidence = gather(
        compile_model(graph), Data(tokens, None, "t.npz"), available=2, engines=("reference",)
    )
    page = render(evidence)
    assert re.findall(r'<section id="plot-([^"]*)"', page) == FIGURES[1:]
    assert "accuracy of the integers" not in page
    assert "approximated to integers" in page


def test_ternary_spikes_have_two_colours(networks: ModuleType) -> None:
    graph = networks.random_graph(2, mixer="gsu")
    data = np.random.default_rng(0).integers(0, 256, (3, 30, 1), np.uint8)
    program = compile_model(graph, calibration=data)
    evidence = gather(program, Data(data, None, "d.npz"), available=3, engines=("reference",))
    page = render(evidence)
    spikes = [example.spikes["blocks.0"] for example in evidence.examples]
    assert any((s < 0).any() for s in spikes)
    assert "Blue is +1, orange -1." in page


def test_figures_as_files(evidence: Evidence, tmp_path: Path) -> None:
    paths = write_plots(evidence, tmp_path / "plots")
    assert sorted(path.name for path in paths) == sorted(
        f"{key}.{suffix}" for key in FIGURES for suffix in ("png", "svg")
    )
    for path in paths:
        start = path.read_bytes()[:200]
        assert start.startswith(b"\x89PNG") if path.suffix == ".png" else b"<?xml" in start


def test_pages_are_reproducible(evidence: Evidence, page: str) -> None:
    assert render(evidence) == page


def test_a_page_that_cannot_be_written(evidence: Evidence, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="missing does not exist"):
        write_page(evidence, tmp_path / "missing" / "report.html")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_plots(evidence, tmp_path / "file")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.123456789, "0.12346"),
        (2345678.9, "2,345,679"),
        ("a", "a"),
    ],
)
def test_cells(value: object, text: str) -> None:
    assert shown(value) == text


def test_short_names_of_groups(small_program: Callable[..., Program]) -> None:
    program = small_program(channels=4, blocks=2)
    ones, spec = np.ones(4, np.int64), unchecked(20, 0, 4)
    norm = LayerNorm("n", ("blocks.1.add",), spec, ones, ones, ones, eps=1, layer="blocks.1")
    last = replace(norm, name="final", inputs=("n",), layer="")
    readout = replace(program.readout, inputs=("final",))
    groups = neuron_groups(program.with_ops([*program.ops[:-1], norm, last, readout]), 32)
    assert short_names(groups) == {
        "encoder": "E",
        "blocks.0.spike": "S0",
        "blocks.0.add": "M0",
        "blocks.1.spike": "S1",
        "n:statistics": "L1",
        "final:statistics": "L",
        "final": "M",
        "decoder:sum": "R",
        "decoder": "R",
    }


def test_a_program_without_its_float_network(evidence: Evidence) -> None:
    program = evidence.program
    cut = replace(program, graph=replace(program.graph, nodes=program.graph.nodes[:1]))
    x = np.zeros((1, 4, 1), np.uint8)
    with pytest.raises(InputError, match="no float network"):
        gather(cut, Data(x, None, "data.npz"), available=1)
