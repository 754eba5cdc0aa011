"""Stand-ins for packages that a machine with a GPU may lack: h5py and Numba."""

from __future__ import annotations

import importlib
import sys
import types

import numpy as np


def stand_in() -> None:
    """Let the package's programs be made and run where h5py or Numba are missing."""
    try:
        import h5py  # noqa: F401
    except ImportError:  # it only reads and writes files, which come as .npz here
        sys.modules["h5py"] = types.ModuleType("h5py")
    try:
        import numba  # noqa: F401
    except ImportError:
        module = importlib.import_module("neurossm.program.pole_series")
        for name, function in (("_sums", sums), ("_kernel", lambda: sums)):  # now, and once
            if hasattr(module, name):
                setattr(module, name, function)


def sums(q_re: np.ndarray, q_im: np.ndarray, rounding: float = 1e-15) -> np.ndarray:
    """Return what `neurossm.program.pole_series` sums, (poles, 4), by NumPy."""
    out = np.zeros((q_re.size, 4))
    pole = q_re + 1j * q_im
    radius = np.hypot(q_re, q_im)
    whole = 1.0 / (1.0 - radius)
    left, power, terms = np.arange(q_re.size), np.ones(q_re.size, complex), 0
    parts = np.zeros((q_re.size, 4))
    while left.size:
        for _ in range(16):
            re, im = power.real, power.imag
            parts += np.maximum(np.stack([re, -re, im, -im], axis=1), 0.0)
            power = power * pole[left]
        terms += 16
        rest = radius[left] ** terms * whole[left]
        done = rest <= 1e-3 * (parts[:, 0] + parts[:, 1])
        slack = rest + rounding * (terms + 16) * whole[left]
        out[left[done]] = parts[done] + slack[done, None]
        left, power, parts = left[~done], power[~done], parts[~done]
    return out
