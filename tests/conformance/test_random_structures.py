"""Random graphs of any names, links and weights: they compile, and all engines agree."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from neurossm.compile import CompileOptions, compile_model
from neurossm.errors import NeuroSSMError
from neurossm.graph import Graph
from neurossm.program import Program
from neurossm.registry import kept

Say = Callable[[str], None]
FULL = os.environ.get("NEUROSSM_CONFORMANCE") == "full"
SEEDS = range(200)
RENAMED = SEEDS if FULL else SEEDS[::5]
IN_LAVA = SEEDS[:40] if FULL else SEEDS[:6]


def options(seed: int) -> CompileOptions:
    return CompileOptions(scaling=("proved", "calibrated")[seed % 2], headroom_bits=0)


def one_line(seed: int, error: NeuroSSMError) -> str:
    """Return what an error says, which must be one line."""
    text = str(error)
    assert "\n" not in text, text
    return f"{seed}: {text}"


def compiled(graph: Graph, data: np.ndarray, seed: int) -> Program:
    """Compile, on one sample of three where scaling is calibrated, so that others may clip."""
    return compile_model(graph, options=options(seed), calibration=data[:1])


@pytest.mark.slow
def test_engines_agree_on_random_structures(
    structures: ModuleType, networks: ModuleType, checks: ModuleType, say: Say
) -> None:
    """Or the graph is refused in one line; most are not."""
    same: Counter[str] = Counter()
    refused: list[str] = []
    clipping = 0
    for seed in SEEDS:
        graph = structures.random_structure(seed)
        data = networks.random_data(graph.input, seed, 3, 20)
        try:
            program = compiled(graph, data, seed)
        except NeuroSSMError as error:
            refused.append(one_line(seed, error))
            continue
        expected, integers = checks.compared(program, data, f"structure {seed}")
        same.update(integers)
        clipping += bool(expected.saturations)
        assert seed % 2 or not expected.saturations, "proved, yet something clipped"
    compiled_ones = len(SEEDS) - len(refused)
    say(
        f"random structures: {compiled_ones} of {len(SEEDS)} compile, {clipping} clip; "
        f"{same.total():,} integers equal ({', '.join(f'{k} {n:,}' for k, n in same.items())})"
    )
    assert not refused, refused
    assert clipping > 20


@pytest.mark.slow
def test_integers_do_not_depend_on_names(
    structures: ModuleType, networks: ModuleType, say: Say
) -> None:
    """The same graph under plain names gives the same integers in every tensor of a node."""
    integers = 0
    for seed in RENAMED:
        graph = structures.random_structure(seed)
        data = networks.random_data(graph.input, seed, 3, 20)
        names = {node.name: f"n{i}" for i, node in enumerate(graph.nodes)}
        runs = []
        for own in (graph, renamed(graph, names)):
            program = compiled(own, data, seed)
            runs.append(program.run(data, engine="reference", record=list(program.recordings)))
        ran, plain = runs
        np.testing.assert_array_equal(ran.logits, plain.logits, f"structure {seed}")
        found = {_renamed(name, names): values for name, values in ran.tensors.items()}
        assert found.keys() == plain.tensors.keys()
        for name, values in plain.tensors.items():
            np.testing.assert_array_equal(found[name], values, f"structure {seed}: {name}")
            integers += values.size
    say(f"random structures under other names: {len(RENAMED)} graphs, {integers:,} integers equal")


def renamed(graph: Graph, names: dict[str, str]) -> Graph:
    """Return the graph with other names of its nodes, each a layer of its own as before."""
    return Graph(
        tuple(
            replace(
                node,
                name=names[node.name],
                inputs=tuple(names[name] for name in node.inputs),
                layer="",
            )
            for node in graph.nodes
        )
    )


def _renamed(name: str, names: dict[str, str]) -> str:
    """Return the other name of a tensor, which may be a part of a node: "ssm:drive"."""
    owner, *parts = name.split(":")
    return ":".join([names[owner], *parts])


@pytest.mark.lava
@pytest.mark.slow
def test_lava_agrees_on_random_structures(
    structures: ModuleType, networks: ModuleType, say: Say
) -> None:
    """Or says in one line what it cannot do, and where."""
    integers, refused = 0, []
    with kept(["lava"]):
        for seed in IN_LAVA:
            graph = structures.random_structure(seed)
            data = networks.random_data(graph.input, seed, 2, 12)
            program = compiled(graph, data, seed)
            names: list[Any] = list(program.recordings)
            try:
                ran = program.run(data, engine="lava", record=names)
            except NeuroSSMError as error:
                refused.append(one_line(seed, error))
                continue
            expected = program.run(data, engine="reference", record=names)
            assert ran.saturations == expected.saturations, f"structure {seed}"
            np.testing.assert_array_equal(ran.logits, expected.logits, f"structure {seed}")
            for name in names:
                np.testing.assert_array_equal(ran.tensors[name], expected.tensors[name], name)
                integers += expected.tensors[name].size
    say(
        f"random structures in Lava: {len(IN_LAVA) - len(refused)} of {len(IN_LAVA)} run, "
        f"{integers:,} integers equal; refused: {refused}"
    )
    assert len(refused) < len(IN_LAVA) / 2, refused


def test_names_with_colons_are_refused(structures: ModuleType) -> None:
    graph = structures.random_structure(0)
    names = {node.name: node.name for node in graph.nodes}
    names[graph.nodes[2].name] = "a:sum"
    with pytest.raises(NeuroSSMError, match="'a:sum'.*rename it"):
        compile_model(renamed(graph, names))
