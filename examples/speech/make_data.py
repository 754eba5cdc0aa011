"""Make train.npz and test.npz from the recordings of the Free Spoken Digit Dataset.

Usage: python examples/speech/make_data.py RECORDINGS [-o FOLDER]

RECORDINGS is the folder with its WAV files, DIGIT_SPEAKER_NUMBER.wav. Numbers 0 to 4 are for the
test, by the data set's own rule. Each file holds x, float32 (recordings, frames, bands), filled up
with zeros to the longest recording; lengths, the frames of each; and y, the digits.
"""

from __future__ import annotations

import argparse
import wave
from pathlib import Path

import numpy as np
from front_end import BANDS, RATE, FrontEnd
from numpy.typing import NDArray

from neurossm.files import atomic_path

TEST_NUMBERS = range(5)


def read_wav(path: Path) -> NDArray[np.int16]:
    """Return the samples of a recording.

    Raises
    ------
    SystemExit
        If it is not 8 kHz, 16 bits, one channel.
    """
    with wave.open(str(path), "rb") as file:
        kind = (file.getframerate(), file.getsampwidth(), file.getnchannels())
        if kind != (RATE, 2, 1):
            raise SystemExit(
                f"{path}: rate, bytes and channels are {kind}; expected {(RATE, 2, 1)}"
            )
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def pack(paths: list[Path]) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of some recordings."""
    parts = [FrontEnd().push(read_wav(path)) for path in paths]
    lengths = np.array([len(part) for part in parts], np.int32)
    x = np.zeros((len(parts), int(lengths.max()), BANDS), np.float32)
    for row, part in zip(x, parts, strict=True):
        row[: len(part)] = part
    y = np.array([int(path.name.split("_")[0]) for path in paths], np.uint8)
    return {"x": x, "lengths": lengths, "y": y}


def main() -> None:
    """Read the recordings and write the two files."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recordings", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=Path(), help="folder to write to")
    options = parser.parse_args()
    paths = sorted(options.recordings.glob("*_*_*.wav"))
    if not paths:
        raise SystemExit(f"{options.recordings}: holds no DIGIT_SPEAKER_NUMBER.wav")
    test = {path for path in paths if int(path.stem.split("_")[2]) in TEST_NUMBERS}
    for name, chosen in (
        ("test", [p for p in paths if p in test]),
        ("train", [p for p in paths if p not in test]),
    ):
        arrays = pack(chosen)
        target = options.output / f"{name}.npz"
        with atomic_path(target) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **arrays)
        frames = arrays["lengths"]
        print(f"{target}: {len(chosen)} recordings of {frames.min()} to {frames.max()} frames")


if __name__ == "__main__":
    main()
