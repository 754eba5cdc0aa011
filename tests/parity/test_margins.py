from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neurossm.graph import Graph
from neurossm.graph import nodes as n
from neurossm.parity import margins


def _graph(node):
    return Graph((n.InputNode("x", (), "float", 2, -9.0, 9.0, 1.0), node))


def test_distance_of_binary_spikes_is_from_their_own_thresholds():
    graph = _graph(n.SpikeNode("s", ("x",), threshold=np.array([1.0, -0.5])))
    found = graph["s"].margin(np.array([[1.25, 0.0], [-2.0, -0.5]]))
    assert found.tolist() == [[0.25, 0.5], [3.0, 0.0]]


def test_distance_of_ternary_spikes_is_from_the_nearer_threshold():
    graph = _graph(n.TernaryNode("s", ("x",), threshold=np.array([1.0, 2.0]), factor=0.15))
    found = graph["s"].margin(np.array([[-1.5, 0.0], [0.75, -3.0]]))
    assert found.tolist() == [[0.5, 2.0], [0.25, 1.0]]
    # Dynamic: a quarter of the step's largest magnitude: 1 and 0.5.
    graph = _graph(n.TernaryNode("s", ("x",), threshold=None, factor=0.25))
    found = graph["s"].margin(np.array([[-4.0, 0.75], [0.5, -2.0]]))
    assert found.tolist() == [[3.0, 0.25], [0.0, 1.5]]


@given(st.floats(2.0**-79, 2.0**47))
def test_a_distance_lies_between_the_edges_of_its_bin(value):
    edges = margins.edges()
    assert (np.diff(edges) > 0).all()
    (index,) = margins.bins_of(np.array([value]))
    assert edges[index] <= value < edges[index + 1]
    assert edges[index + 1] / edges[index] <= 1 + 1 / 16  # the width promised


def test_what_is_too_small_or_too_large_is_still_counted():
    values = np.array([[0.0, 1e-300, np.inf, 2.0**60]])
    assert margins.bins_of(values).tolist() == [[0, 0, margins.BINS - 1, margins.BINS - 1]]


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=200))
def test_quantiles_are_near_the_exact_ones(values):
    counts = margins.count(margins.bins_of(np.array(values)))
    found = margins.quantiles(counts, 2.0)
    for q in margins.QUANTILES:
        # Somewhere within a bin's width of the sorted values around the rank.
        ranked = np.sort(values) / 2
        low = ranked[max(0, int(np.ceil(q * len(values))) - 1)]
        assert low / 1.07 <= found[str(q)] <= low * 1.07


def test_no_values_no_quantiles():
    counts = np.zeros(margins.BINS, np.int64)
    assert set(margins.quantiles(counts, 1.0).values()) == {None}
    found = margins.by_octave(counts, counts, 1.0)
    assert (found.all, found.flipped) == ((), ())


def test_histograms_by_octave_by_hand():
    # With an RMS of 4: 1 and 1.9 lie in [1, 2) = [0.25, 0.5) RMS, 2 and 5 in the next two.
    everything = margins.count(margins.bins_of(np.array([1.0, 1.9, 2.0, 5.0])))
    flipped = margins.count(margins.bins_of(np.array([1.0])))
    found = margins.by_octave(everything, flipped, 4.0)
    assert found == margins.Margins((0.25, 0.5, 1.0, 2.0), (2, 1, 1), (1, 0, 0))
    assert pytest.approx(sum(found.all)) == 4
