"""Make mnist_test.npz, the 10,000 test digits as sequences, from the original MNIST files.

Usage: python examples/smnist/make_data.py FOLDER [-o mnist_test.npz]

FOLDER holds t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, plain or gzip-compressed; their
SHA-256 is checked. The result holds x, uint8 (10000, 784, 1), and y, uint8 (10000,).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from neurossm.files import atomic_path
from neurossm.train.tasks.mnist import MNIST_SHA256, read_idx


def main() -> None:
    """Read the IDX files and write the archive."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path("mnist_test.npz"))
    options = parser.parse_args()
    images, labels = (
        read_idx(options.folder / name, MNIST_SHA256[name])
        for name in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
    )
    with atomic_path(options.output) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, x=images.reshape(-1, 784, 1), y=labels)


if __name__ == "__main__":
    main()
