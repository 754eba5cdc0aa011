"""The ledger against rounding's own limits: an integer is off by half its unit at most."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from neurossm import graph as g
from neurossm.checking.ledger import ledger_of
from neurossm.compile import compile_model
from neurossm.program import Affine, Readout, Spike

KINDS = {"binary": "uint8", "gsu": "float", "gelu": "tokens", "relu": "float"}


@pytest.mark.parametrize("mixer", KINDS)
@pytest.mark.parametrize("layer_norm", [False, True])
def test_what_is_merely_rounded_is_off_by_half_a_unit(
    networks: ModuleType, mixer: str, layer_norm: bool
) -> None:
    kind = KINDS[mixer]
    inputs = 5 if kind == "tokens" else 1
    graph = networks.random_graph(
        1, mixer=mixer, kind=kind, inputs=inputs, layer_norm=layer_norm, norm="pre"
    )
    rows = {row.name: row for row in ledger_of(compile_model(graph))}
    nodes = {name.rpartition(".")[0] for name in rows}
    for node in graph.nodes:
        if type(node).__name__ not in (
            "InputNode",
            "MeanNode",
            "AddNode",
            "ProductNode",
            "ReLUNode",
        ):
            assert node.name in nodes or node.name == "norm", node.name  # folded into the decoder
    for name, row in rows.items():
        if name.endswith(".A_bar"):  # the best of 16 neighbours
            assert row.max_error <= 3 * row.unit_high, name
        elif name.endswith(".C"):  # refitted: as good as its poles
            assert row.relative_error < 0.05, name
        else:
            # a threshold is rounded down; a weight's unit was rounded itself, 127 times 2^-15
            limit = 1.0 if name.endswith("threshold") else 0.51
            assert row.max_error <= limit * row.unit_high, (name, row)
            assert row.relative_error is None or row.relative_error < 0.02, (name, row)


def test_an_altered_integer_shows_with_its_unit(networks: ModuleType) -> None:
    program = compile_model(networks.random_graph(2, kind="float"))
    before = {row.name: row for row in ledger_of(program)}
    op = next(op for op in program.ops if isinstance(op, Readout))
    weight = op.weight.copy()
    weight[0, 0] -= 100 * np.sign(weight[0, 0])  # what it claims stays true
    altered = program.with_ops(
        replace(other, weight=weight) if other is op else other for other in program.ops
    )
    after = {row.name: row for row in ledger_of(altered)}
    unit = before["decoder.weight"].unit_low
    assert abs(after["decoder.weight"].max_error - 100 * unit) <= unit
    assert {name for name, row in after.items() if row != before[name]} == {"decoder.weight"}


def test_by_hand(networks: ModuleType) -> None:
    """A threshold of 0.3 at exponent e is floor(0.3 * 2^e), off by less than 2^-e."""
    graph = networks.random_graph(2, kind="float", blocks=1)
    node = graph["blocks.0.spike"]
    graph = graph.with_nodes(
        replace(other, threshold=np.full(4, 0.3)) if other is node else other
        for other in graph.nodes
    )
    program = compile_model(graph)
    (row,) = (row for row in ledger_of(program) if row.name == "blocks.0.spike.threshold")
    exponent = program["blocks.0.ssm"].out.exponent.astype(int)
    integers = [int(0.3 * 2**e) for e in exponent]
    assert isinstance(program["blocks.0.spike"], Spike)
    assert (row.integer_low, row.integer_high) == (min(integers), max(integers))
    assert row.exponent == (exponent.min(), exponent.max())
    worst = max(0.3 - i / 2**e for i, e in zip(integers, exponent, strict=True))
    assert row.max_error == pytest.approx(worst, rel=1e-9)
    assert row.bits == max(integers).bit_length() + 1
    assert row.count == 4
    affine = program["blocks.0.norm"]
    assert isinstance(affine, Affine)


@pytest.mark.parametrize("pool", [g.MeanNode, g.LastNode, g.MaxNode, g.EachNode])
def test_decoders_of_every_readout_are_compared(networks: ModuleType, pool: type[g.Node]) -> None:
    graph = networks.random_graph(2, kind="float", blocks=1)
    graph = graph.with_nodes(
        pool(node.name, node.inputs) if node.name == "mean" else node for node in graph.nodes
    )
    rows = {row.name: row for row in ledger_of(compile_model(graph))}
    for name in ("decoder.weight", "decoder.bias"):
        assert rows[name].max_error <= 0.51 * rows[name].unit_high
