"""Pathfinder and Path-X: whether two discs mark the ends of one dashed curve, or of two.

Drawn here, after the definition of Linsley et al. (2018) and the settings that Long Range Arena
(Tay et al., 2021) states for its hard pictures: two curves of 14 paddles that begin beside each
other, shorter curves to distract, and a disc where one of the two begins and where it, or the
other one, ends. Three things differ: curves never cross or touch, so that every picture has an
answer; pictures come in pairs, one of each class, whose discs are equally far apart; and lines are
drawn with edges that fade over one pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from neurossm.errors import InputError
from neurossm.models.config import InputSpec
from neurossm.threads import in_threads
from neurossm.train.tasks.samples import Samples, Task

PARTS = (160_000, 20_000, 20_000)
"""Pictures to train on, to hold out and to test on, as many as Long Range Arena has."""
_CHUNK = 512  # pictures a thread draws at a time


@dataclass(frozen=True)
class Drawing:
    """What pictures look like; lengths are in pixels.

    Attributes
    ----------
    side
        Of the square picture.
    paddles, distractor_paddles
        Paddles of a curve, and of one that distracts.
    distractors, tries
        Curves that distract, at most, and how many places are tried for each.
    paddle_length, gaps, thickness
        Of a paddle; between paddles, one of these per pair of pictures; across.
    clearance
        How near two paddles may come, in gaps; 1 leaves no way through a gap.
    turn
        The heading turns by an angle d from paddle to paddle, of density cos(turn d)^2.
    start_distance
        From where one curve begins to where the other does, near the middle.
    disc_radius
        Of the two discs.
    light, distractor_light
        Of paddles, along their middle line if they are a pixel wide; discs have 1.
    tolerance
        By how much the distance of the discs may differ within a pair.
    """

    side: int
    paddle_length: float
    gaps: tuple[float, ...]
    thickness: float
    turn: float
    start_distance: float
    disc_radius: float
    distractors: int
    tries: int
    light: float
    distractor_light: float
    tolerance: float
    paddles: int = 14
    distractor_paddles: int = 4
    clearance: float = 1.0

    def __post_init__(self) -> None:
        for gap in self.gaps:
            if self.clearance * gap >= self.paddle_length + 2 * gap:
                raise InputError(
                    f"drawing: paddles of {self.paddle_length:g} pixels with gaps of {gap:g} "
                    f"cannot keep {self.clearance * gap:g} away from the next but one"
                )
        if 4 * self.start_distance > self.side:
            raise InputError(
                f"drawing: curves that begin {self.start_distance:g} pixels apart need a side of "
                f"four times that, not {self.side}"
            )


PATHFINDER = Drawing(
    side=32,
    paddle_length=2.0,
    gaps=(2.0,),
    thickness=0.5,
    turn=1.0,
    start_distance=7.0,
    disc_radius=1.5,
    distractors=5,
    tries=3,
    light=1.2,
    distractor_light=1.6,
    tolerance=0.5,
)
PATH_X = Drawing(
    side=128,
    paddle_length=5.0,
    gaps=(4.0, 6.0),
    thickness=1.5,
    turn=1.8,
    start_distance=20.0,
    disc_radius=3.0,
    distractors=8,
    tries=40,
    light=0.9,
    distractor_light=0.9,
    tolerance=2.0,
)


@dataclass(frozen=True)
class Pictures:
    """Pictures and what is known of them.

    Attributes
    ----------
    x, y
        uint8 (S, side, side); int64 (S): 1 if the discs mark one curve.
    distance
        (S) from disc to disc.
    distractors
        int64 (S): curves that distract.
    """

    x: NDArray[np.uint8]
    y: NDArray[np.int64]
    distance: NDArray[np.float64]
    distractors: NDArray[np.int64]


def pictures(drawing: Drawing, count: int, start: int = 0, seed: int = 0) -> Pictures:
    """Draw pictures; each depends on the drawing, the seed and its own number alone.

    Parameters
    ----------
    drawing
        What they look like.
    count, start
        How many, and the number of the first one; both even, since pictures come in pairs.
    seed
        Of all pictures.

    Raises
    ------
    InputError
        If a number is odd or negative, or Numba is not installed.
    """
    if count < 0 or start < 0 or count % 2 or start % 2:
        raise InputError(f"pictures: {count} from number {start} on; both must be even")
    try:
        from neurossm.train.tasks import pathfinder_kernel as kernel
    except ImportError as error:
        raise InputError(
            f"pictures: Numba, which draws them, cannot be imported: {error}"
        ) from None
    drawn = Pictures(
        np.zeros((count, drawing.side, drawing.side), np.uint8),
        np.zeros(count, np.int64),
        np.zeros(count),
        np.zeros(count, np.int64),
    )
    counts = np.array([drawing.distractors, drawing.distractor_paddles, drawing.tries], np.int64)
    shape = np.array(
        [
            drawing.paddle_length,
            0.0,  # the gap, which the kernel chooses
            drawing.clearance,
            drawing.turn,
            drawing.thickness,
            drawing.disc_radius,
            drawing.light,
            drawing.distractor_light,
        ]
    )

    def draw(first: int) -> None:
        part = slice(first, first + _CHUNK)
        kernel.pictures(
            seed,
            (start + first) // 2,
            drawn.x[part],
            drawn.y[part],
            drawn.distance[part],
            drawn.distractors[part],
            np.array(drawing.gaps),
            drawing.paddles,
            counts,
            shape,
            drawing.start_distance,
            drawing.tolerance,
        )

    for _ in in_threads(draw, range(0, count, _CHUNK)):
        pass
    return drawn


def pathfinder(name: str, drawing: Drawing, limit: int | None = None, seed: int = 0) -> Task:
    """Return the task of telling whether two discs mark one curve; a pixel per step, row by row.

    Parameters
    ----------
    name
        Of the task.
    drawing
        What the pictures look like.
    limit
        At most so many in each part; None: `PARTS`.
    seed
        Of the pictures.
    """
    parts, start = [], 0
    for size in PARTS:
        count = size if limit is None else min(size, limit)
        drawn = pictures(drawing, count + count % 2, start, seed)
        x = torch.from_numpy(drawn.x).reshape(len(drawn.x), -1, 1)
        parts.append(Samples(x, torch.from_numpy(drawn.y)).take(slice(count)))
        start += size
    train, held_out, test = parts
    return Task(name, InputSpec.uint8(1), 2, train, held_out, test, image_side=drawing.side)
