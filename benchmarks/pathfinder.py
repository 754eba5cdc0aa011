"""What the pictures of Pathfinder and Path-X are like, and whether a sum gives their class away.

Prints statistics of the pictures that `neurossm data pathfinder` draws, beside those of pictures of
others where --against names them: a DATA.npz with x (S, side, side) or (S, L) of bytes, and y. Then
two linear models learn the classes, from all pixels and from their sums alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from neurossm.npz import read_npz
from neurossm.train.tasks.pathfinder import PATH_X, PATHFINDER, Drawing, pictures

_LIT = (26, 128)


def described(x: NDArray[np.uint8]) -> dict[str, float]:
    """Return statistics of pictures (S, side, side)."""
    means = x.reshape(len(x), -1).mean(axis=1)
    return {
        "pictures": len(x),
        "mean intensity": means.mean(),
        "its deviation between pictures": means.std(),
        **{f"pixels of {least} or more, %": 100 * (x >= least).mean() for least in _LIT},
    }


def known(drawing: Drawing, count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw pictures, print what only their maker knows, and return them with their classes."""
    drawn = pictures(drawing, count)
    period = [drawing.paddle_length + gap for gap in drawing.gaps]
    lengths = [drawing.paddles * each - gap for each, gap in zip(period, drawing.gaps, strict=True)]
    paddles = 2 * drawing.paddles + drawing.distractor_paddles * drawn.distractors
    print(f"paddle length: {drawing.paddle_length:g}, gaps: {drawing.gaps}")
    print(f"length of a curve: {lengths}, with {drawing.paddles} paddles")
    print(f"curves that distract: {drawn.distractors.mean():.2f} of up to {drawing.distractors}")
    print(f"paddles of a picture: {paddles.mean():.1f} ({paddles.min()} to {paddles.max()})")
    for label in (0, 1):
        distance = drawn.distance[drawn.y == label]
        print(
            f"distance of the discs, class {label}: {distance.mean():.2f} +- {distance.std():.2f}"
        )
    return drawn.x, drawn.y


def right(features: NDArray[np.float64], y: NDArray[np.int64], ridge: float) -> tuple[float, float]:
    """Return a linear model's accuracy on the second half, in %, and its standard error."""
    half = len(y) // 2
    centre, spread = features[:half].mean(axis=0), features[:half].std(axis=0) + 0.1
    normed, target = (features - centre) / spread, 2.0 * y - 1.0
    a = normed[:half]
    weights = np.linalg.solve(a.T @ a + ridge * np.eye(a.shape[1]), a.T @ target[:half])
    correct = (normed[half:] @ weights > 0) == (y[half:] == 1)
    return 100 * correct.mean(), 50 / np.sqrt(len(correct))


def shortcuts(x: NDArray[np.uint8], y: NDArray[np.int64]) -> None:
    """Print what linear models reach; larger pictures are averaged to 32 x 32 first."""
    by = x.shape[1] // 32
    small = x.reshape(len(x), 32, by, 32, by).mean(axis=(2, 4)) / 255.0
    pixels = small.reshape(len(x), -1)
    sums = np.stack([pixels.mean(axis=1), *((x >= n).mean(axis=(1, 2)) for n in _LIT)], axis=1)
    for name, features, ridge in (("pixels", pixels, 100.0), ("sums of pixels", 100 * sums, 1e-6)):
        accuracy, error = right(features, y, ridge)
        print(f"linear model on {name}: {accuracy:.2f} % (standard error {error:.2f})")


def main() -> None:
    """Print it all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", choices=("pathfinder", "pathx"), default="pathfinder")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--against", type=Path, help="DATA.npz with pictures of others")
    given = parser.parse_args()
    drawing = PATHFINDER if given.task == "pathfinder" else PATH_X
    x, y = known(drawing, given.count + given.count % 2)
    columns = [described(x)]
    if given.against is not None:
        found, _ = read_npz(given.against, ("x", "y"), ())
        columns.append(described(found["x"].reshape(len(found["x"]), drawing.side, drawing.side)))
    for name in columns[0]:
        print(f"{name}: " + " | ".join(f"{column[name]:.2f}" for column in columns))
    shortcuts(x, y)


if __name__ == "__main__":
    main()
