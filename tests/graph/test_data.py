"""Lengths of samples: what is refused, and how samples are cut."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from neurossm.datafile import load_data, samples_of
from neurossm.errors import InputError
from neurossm.graph.data import check_sequences
from neurossm.graph.sequences import Sequences, longest_first, runs_of_one_length, spans

SPEC = SimpleNamespace(kind="float", size=2, low=1.0, high=2.0)
X = np.full((3, 4, 2), 1.5)

REFUSED = {
    "a length of 0": ([4, 0, 1], r"lengths\[1\] is 0; x has 4 steps, of which 1 to 4 can be valid"),
    "below 0": ([-1, 2, 1], r"lengths\[0\] is -1"),
    "beyond the end": ([4, 4, 5], r"lengths\[2\] is 5; x has 4 steps"),
    "floats": ([1.0, 2.0, 3.0], r"lengths have shape \(3,\) and dtype float64; expected \(3,\)"),
    "too few": ([1, 2], r"shape \(2,\)"),
    "too many axes": ([[1], [2], [3]], r"shape \(3, 1\)"),
    "booleans": ([True, True, True], r"dtype bool"),
    "one number": (3, r"shape \(\)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_lengths_that_do_not_suit(case, tmp_path):
    lengths, words = REFUSED[case]
    with pytest.raises(InputError, match=words) as error:
        check_sequences(SPEC, X, lengths)
    assert "\n" not in str(error.value)
    np.savez(tmp_path / "data.npz", x=X, lengths=np.asarray(lengths))
    with pytest.raises(InputError, match=rf"data\.npz: .*{words}"):
        load_data(tmp_path / "data.npz")


def test_padding_outside_the_range_is_no_error_but_a_valid_step_is():
    x = X.copy()
    x[1, 3] = np.nan
    x[2, 1:] = 0.0
    found = check_sequences(SPEC, x, [4, 3, 1])
    assert found.lengths is not None
    assert (found.x == 1.5).all()
    assert np.isnan(x[1, 3]).all()  # the user's array is left alone
    with pytest.raises(InputError, match="reaches from 0 to 1.5"):
        check_sequences(SPEC, x, [4, 3, 2])


def test_equal_lengths_are_none():
    assert check_sequences(SPEC, X, [4, 4, 4]).lengths is None
    assert check_sequences(SPEC, X, None).steps.tolist() == [4, 4, 4]


def test_a_file_brings_lengths_and_a_limit_cuts_them(tmp_path):
    np.savez(tmp_path / "data.npz", x=X, y=[0, 1, 0], lengths=np.uint8([2, 4, 3]))
    found = samples_of(SPEC, 2, tmp_path / "data.npz", limit=2)
    assert found.lengths is not None
    assert found.lengths.tolist() == [2, 4]
    assert found.sequences.steps.tolist() == [2, 4]
    other = samples_of(SPEC, 2, tmp_path / "data.npz", lengths=[1, 1, 1])
    assert other.sequences.steps.tolist() == [1, 1, 1]


def test_runs_spans_and_order():
    assert list(runs_of_one_length(np.array([3, 3, 3, 1, 3]), 2)) == [
        (0, 2),
        (2, 3),
        (3, 4),
        (4, 5),
    ]
    order = longest_first(np.array([2, 5, 2, 1]))
    assert order.tolist() == [1, 0, 2, 3]
    # All four until step 1, three until 2, one until 5; at most two steps at once.
    found = list(spans(np.array([5, 2, 2, 1]), 2))
    assert found == [(0, 1, 4), (1, 2, 3), (2, 4, 1), (4, 5, 1)]


def test_joined_and_apart():
    x = np.arange(12).reshape(2, 3, 2)
    samples = Sequences(x, np.array([1, 3]))
    rows = samples.joined(x)
    assert rows.tolist() == [[0, 1], [6, 7], [8, 9], [10, 11]]
    assert samples.apart(rows).tolist() == [[[0, 1], [0, 0], [0, 0]], x[1].tolist()]
    assert [(part.start, part.stop, piece.shape) for part, piece in samples.whole(5)] == [
        (0, 1, (1, 1, 2)),
        (1, 2, (1, 3, 2)),
    ]
