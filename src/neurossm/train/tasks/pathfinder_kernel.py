"""Machine code that draws Pathfinder pictures: curves of paddles that keep clear of each other.

All lengths are in pixels; a paddle is a row x0, y0, x1, y1 of an array. Importing this module
imports Numba.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

from neurossm.jit import compiled

Function = TypeVar("Function")
Paddles = NDArray[np.float64]
Stream = NDArray[np.uint64]

_OPTIONS = {"error_model": "numpy", "nogil": True}

TURNS = 10
"""Headings that are tried for a paddle."""
BACK, STUCK = 4, 30
"""Paddles that are taken back where none fits, and how often before the curves begin anew."""
PARTNERS = 4000
"""Pairs of curves that are tried to match a distance before that distance is given up."""


def _part(function: Function) -> Function:
    code: Any = njit
    result: Function = code(**_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)
    return result


@_part
def _scrambled(value: np.uint64) -> np.uint64:
    """Return the output function of SplitMix64 (Steele, Lea, Flood 2014)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@_part
def _uniform(stream: Stream) -> float:
    """Return the next number of a stream, in [0, 1)."""
    stream[0] += np.uint64(0x9E3779B97F4A7C15)
    return float(_scrambled(stream[0]) >> np.uint64(11)) * 2.0**-53


@_part
def _squared(x: float, y: float, paddle: Paddles) -> float:
    """Return the squared distance of a point from a paddle."""
    dx, dy = paddle[2] - paddle[0], paddle[3] - paddle[1]
    along = ((x - paddle[0]) * dx + (y - paddle[1]) * dy) / (dx * dx + dy * dy)
    along = min(1.0, max(0.0, along))
    dx, dy = x - paddle[0] - along * dx, y - paddle[1] - along * dy
    squared: float = dx * dx + dy * dy
    return squared


@_part
def _side(paddle: Paddles, x: float, y: float) -> float:
    """Return on which side of a paddle's line a point is, by the sign."""
    dx, dy = paddle[2] - paddle[0], paddle[3] - paddle[1]
    side: float = dx * (y - paddle[1]) - dy * (x - paddle[0])
    return side


@_part
def _apart(one: Paddles, other: Paddles, clearance: float) -> bool:
    """Return whether two paddles are at least so far from each other."""
    crossed = (
        _side(one, other[0], other[1]) * _side(one, other[2], other[3]) < 0
        and _side(other, one[0], one[1]) * _side(other, one[2], one[3]) < 0
    )
    least = clearance * clearance
    return not crossed and (
        _squared(one[0], one[1], other) >= least
        and _squared(one[2], one[3], other) >= least
        and _squared(other[0], other[1], one) >= least
        and _squared(other[2], other[3], one) >= least
    )


@_part
def _free(
    paddles: Paddles, count: int, skipped: int, shape: NDArray[np.float64], side: int
) -> bool:
    """Return whether paddle `count` is in the picture and clear of those before, but one."""
    new = paddles[count]
    if min(new[0], new[1], new[2], new[3]) < 1 or max(new[0], new[1], new[2], new[3]) > side - 2:
        return False
    far = (2 * shape[0] + shape[2]) ** 2
    for other in range(count):
        dx, dy = new[0] - paddles[other, 0], new[1] - paddles[other, 1]
        near = dx * dx + dy * dy < far
        if near and other != skipped and not _apart(new, paddles[other], shape[2]):
            return False
    return True


@_part
def _begin(paddles: Paddles, count: int, x: float, y: float, heading: float, length: float) -> None:
    """Write a paddle that begins at a point."""
    paddles[count, 0], paddles[count, 1] = x, y
    paddles[count, 2], paddles[count, 3] = (
        x + length * math.cos(heading),
        y + length * math.sin(heading),
    )


@_part
def _extend(
    paddles: Paddles, count: int, last: int, shape: NDArray[np.float64], side: int, stream: Stream
) -> bool:
    """Write paddle `count` as the one after `last` of its curve; the bend is amid the gap.

    The turn d has the density cos(turn d)^2 up to its first zeros.
    """
    length, gap, turn = shape[0], shape[1], shape[3]
    before = paddles[last]
    heading = math.atan2(before[3] - before[1], before[2] - before[0])
    x, y = before[2] + gap / 2 * math.cos(heading), before[3] + gap / 2 * math.sin(heading)
    for _ in range(TURNS):
        angle = (2 * _uniform(stream) - 1) * math.pi / 2
        while _uniform(stream) >= math.cos(angle) ** 2:
            angle = (2 * _uniform(stream) - 1) * math.pi / 2
        new = heading + angle / turn
        start_x, start_y = x + gap / 2 * math.cos(new), y + gap / 2 * math.sin(new)
        _begin(paddles, count, start_x, start_y, new, length)
        if _free(paddles, count, last, shape, side):
            return True
    return False


@_part
def _two_curves(
    paddles: Paddles,
    each: int,
    shape: NDArray[np.float64],
    apart: float,
    side: int,
    stream: Stream,
) -> None:
    """Write two curves of so many paddles, in turns: even rows are the first one's.

    The first begins near the middle, the second at a distance from there.
    """
    while True:
        room = side - 4 * apart
        x, y = 2 * apart + room * _uniform(stream), 2 * apart + room * _uniform(stream)
        angle = 2 * math.pi * _uniform(stream)
        _begin(paddles, 0, x, y, 2 * math.pi * _uniform(stream), shape[0])
        x, y = x + apart * math.cos(angle), y + apart * math.sin(angle)
        _begin(paddles, 1, x, y, 2 * math.pi * _uniform(stream), shape[0])
        good = _free(paddles, 0, -1, shape, side) and _free(paddles, 1, -1, shape, side)
        count, stuck = 2, 0
        while good and count < 2 * each:
            if _extend(paddles, count, count - 2, shape, side, stream):
                count += 1
            else:
                count, stuck = max(2, count - BACK), stuck + 1
                good = stuck <= STUCK
        if good:
            return


@_part
def _distractors(
    paddles: Paddles,
    used: int,
    wanted: int,
    each: int,
    tries: int,
    shape: NDArray[np.float64],
    side: int,
    stream: Stream,
) -> int:
    """Add short curves where they fit, each after at most so many tries; return the paddles."""
    for _ in range(wanted):
        for _ in range(tries):
            x, y = 1 + (side - 3) * _uniform(stream), 1 + (side - 3) * _uniform(stream)
            _begin(paddles, used, x, y, 2 * math.pi * _uniform(stream), shape[0])
            good = _free(paddles, used, -1, shape, side)
            count = used + 1
            while good and count < used + each:
                good = _extend(paddles, count, count - 1, shape, side, stream)
                count += 1
            if good:
                used = count
                break
    return used


@_part
def _between(paddles: Paddles, each: int, first: int, label: int) -> float:
    """Return the distance of the discs if one is where curve `first` begins."""
    last = 2 * (each - 1) + (first if label == 1 else 1 - first)
    return math.hypot(paddles[first, 0] - paddles[last, 2], paddles[first, 1] - paddles[last, 3])


@_part
def _draw(
    picture: NDArray[np.float64], paddle: Paddles, radius: float, light: float, side: int
) -> None:
    """Draw a paddle, or a disc, whose light fades over the pixel at its edge."""
    reach = radius + 1
    left = max(0, int(min(paddle[0], paddle[2]) - reach))
    right = min(side - 1, int(max(paddle[0], paddle[2]) + reach) + 1)
    top = max(0, int(min(paddle[1], paddle[3]) - reach))
    bottom = min(side - 1, int(max(paddle[1], paddle[3]) + reach) + 1)
    for row in range(top, bottom + 1):
        for column in range(left, right + 1):
            within = radius + 0.5 - math.sqrt(_squared(float(column), float(row), paddle))
            value = min(1.0, light * min(1.0, max(0.0, within)))
            picture[row, column] = max(picture[row, column], value)


@_part
def _finish(
    picture: NDArray[np.uint8],
    paddles: Paddles,
    each: int,
    first: int,
    label: int,
    counts: NDArray[np.int64],
    shape: NDArray[np.float64],
    side: int,
    stream: Stream,
) -> int:
    """Add distractors to the curves and draw it all; return how many distractors there are."""
    wanted, short, tries = counts[0], counts[1], counts[2]
    used = _distractors(paddles, 2 * each, wanted, short, tries, shape, side, stream)
    light = np.zeros((side, side))
    for index in range(used):
        brightness = shape[6] if index < 2 * each else shape[7]
        _draw(light, paddles[index], shape[4] / 2, brightness, side)
    last = 2 * (each - 1) + (first if label == 1 else 1 - first)
    disc = np.empty(4)
    for x, y in (
        (paddles[first, 0], paddles[first, 1]),
        (paddles[last, 2], paddles[last, 3]),
    ):
        disc[0], disc[1], disc[2], disc[3] = x, y, x + 1e-9, y
        _draw(light, disc, shape[5], 1.0, side)
    for row in range(side):
        for column in range(side):
            picture[row, column] = np.uint8(255 * light[row, column] + 0.5)
    return (used - 2 * each) // short if short else 0


def _pictures(
    seed: int,
    pair: int,
    x: NDArray[np.uint8],
    y: NDArray[np.int64],
    distance: NDArray[np.float64],
    placed: NDArray[np.int64],
    gaps: NDArray[np.float64],
    each: int,
    counts: NDArray[np.int64],
    shape: NDArray[np.float64],
    apart: float,
    tolerance: float,
) -> None:
    """Fill x (S, side, side) and what is known of the pictures, two by two, from a pair on.

    The two of a pair have different labels and discs at the same distance, up to the tolerance.
    `shape` holds length, gap, clearance, turn, thickness, radius and the two lights; the gap is
    one of `gaps`.
    """
    side = x.shape[1]
    for index in range(len(x) // 2):
        stream = np.empty(1, np.uint64)
        stream[0] = _scrambled(np.uint64(seed) * np.uint64(0xD1342543DE82EF95)) + _scrambled(
            np.uint64(pair + index)
        )
        mine = shape.copy()
        mine[1] = gaps[int(_uniform(stream) * len(gaps))]
        mine[2] = shape[2] * mine[1]
        room = 2 * each + counts[0] * counts[1]
        leading, partner = np.empty((room, 4)), np.empty((room, 4))
        label, flip = int(2 * _uniform(stream)), int(2 * _uniform(stream))
        first, second, wanted, found = 0, 0, 0.0, False
        while not found:
            _two_curves(leading, each, mine, apart, side, stream)
            first = int(2 * _uniform(stream))
            wanted = _between(leading, each, first, label)
            for _ in range(PARTNERS):
                _two_curves(partner, each, mine, apart, side, stream)
                second = int(2 * _uniform(stream))
                if abs(_between(partner, each, second, 1 - label) - wanted) > tolerance:
                    second = 1 - second
                if abs(_between(partner, each, second, 1 - label) - wanted) <= tolerance:
                    found = True
                    break
        one, two = 2 * index + flip, 2 * index + 1 - flip
        y[one], y[two] = label, 1 - label
        distance[one], distance[two] = wanted, _between(partner, each, second, 1 - label)
        placed[one] = _finish(x[one], leading, each, first, label, counts, mine, side, stream)
        placed[two] = _finish(x[two], partner, each, second, 1 - label, counts, mine, side, stream)


pictures = compiled(_pictures, _OPTIONS)
