import pytest

from neurossm.errors import FormatError, InputError
from neurossm.train.tasks.retrieval import FILES, retrieval

LINES = b"1.0\ta\tb\tone\tsecond text\n0.0\tc\td\t\xc3\xa9\tx\r\n0\te\tf\tlonger than six\ty"


def test_files_of_pairs_are_read(tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes(LINES)
    train, held_out, test = retrieval(tmp_path, steps=6)
    assert train.y.tolist() == held_out.y.tolist() == test.y.tolist() == [1, 0, 0]
    assert train.lengths.tolist() == [[3, 6], [2, 1], [6, 1]]
    assert train.x.shape == (3, 2, 6)
    assert bytes(train.x[0].numpy()) == b"one\0\0\0second"
    assert bytes(train.x[1].numpy()) == b"\xc3\xa9\0\0\0\0x\0\0\0\0\0"
    assert bytes(train.x[2, 0].numpy()) == b"longer"
    assert [len(part) for part in retrieval(tmp_path, limit=2)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"1\ta\tb\tone", "line 1: 4 fields"),
        (b"2\ta\tb\tone\ttwo", "line 1: label b'2'; expected 0 or 1"),
        (b"1\ta\tb\t\ttwo", "line 1: an empty text"),
        (b"", "holds no pairs"),
    ],
)
def test_other_lines_are_refused(tmp_path, line, message):
    (tmp_path / FILES[0]).write_bytes(line)
    with pytest.raises(FormatError, match=message):
        retrieval(tmp_path)


def test_missing_files_are_named(tmp_path):
    with pytest.raises(InputError, match="the folder must hold new_aan_pairs.train.tsv"):
        retrieval(tmp_path)
