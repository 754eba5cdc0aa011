"""Columns of an instruction: one row of a tape, in 64-bit integers."""

from __future__ import annotations

KIND = 0
OUT, A, B = 1, 2, 3  # where tensors begin, in words per row of the work memory
STRIDE, A_STRIDE = 4, 5  # words per row of the output and of the first input
CHANNELS, INPUTS = 6, 7  # channels of the output and of the first input
FLOATS, INTS, WEIGHTS = 8, 9, 10  # where the instruction's parameters begin
BITS, TALLY = 11, 12  # width to saturate to, 0 where proved unnecessary; where to count
STATE, MODES = 13, 14  # where the states begin, in words of one sample; number of modes
STATE_BITS, STATE_TALLY = 15, 16  # the same for states; no tally is -1
RECORD = 17  # where states are to be written, or -1
RECORD_STRIDE = 18  # words per row of recorded states
EPS = 19  # of a LayerNorm

NAMES = {name: value for name, value in dict(globals()).items() if isinstance(value, int)}
COUNT = len(NAMES)
