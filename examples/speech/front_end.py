"""From sound to what the network reads: the energy in 20 bands of pitch, a hundred times a second.

Every value depends on the last 25 ms of sound alone, so that it can be computed while someone
speaks. A frame of 200 samples (8 kHz) every 80 samples is weighted by a Hann window; its power
spectrum is summed in triangular bands that are equally wide on the mel scale;
``log10(1 + energy / 1e-7)`` is 0 in silence and below 10 for whatever 16 bits can hold.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

RATE = 8000
FRAME, HOP, FFT = 200, 80, 256
BANDS = 20
FLOOR = 1e-7
LOW, HIGH = 0.0, 10.0
GRID = 256.0  # values are rounded to 1/256: files get small, and a network does not notice

Floats = NDArray[np.float32]


def mel_bands() -> NDArray[np.float64]:
    """Return the weight of each bin of the spectrum in each band, (FFT / 2 + 1, BANDS)."""
    top = 2595.0 * np.log10(1.0 + 0.5 * RATE / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, top, BANDS + 2) / 2595.0) - 1.0)  # Hz
    bins = np.fft.rfftfreq(FFT, 1.0 / RATE)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    return np.clip(np.minimum(rising, falling), 0.0, None)


class FrontEnd:
    """Turns a stream of samples into frames; keeps the end of a stream for the next samples."""

    def __init__(self) -> None:
        self.window = np.hanning(FRAME)
        self.bands = mel_bands() / np.square(self.window).sum()
        self.rest = np.empty(0)

    def push(self, samples: NDArray[np.int16]) -> Floats:
        """Take the next samples and return the frames that they complete, (frames, BANDS)."""
        sound = np.concatenate([self.rest, np.asarray(samples, np.float64) / 32768.0])
        count = max(0, (len(sound) - FRAME) // HOP + 1)
        self.rest = sound[count * HOP :]
        if not count:
            return np.empty((0, BANDS), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(sound, FRAME)[::HOP][:count]
        power = np.square(np.abs(np.fft.rfft(frames * self.window, FFT)))
        values = np.log10(1.0 + power @ self.bands / FLOOR)
        return (np.round(values * GRID) / GRID).astype(np.float32)
