"""The program in a layer of ours in a netx file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from neurossm.program import Program


def program_of(content: Any) -> Program:
    """Return the program of a layer of ours."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "program.h5").write_bytes(np.asarray(content, np.uint8).tobytes())
        return Program.load(Path(folder) / "program.h5")
