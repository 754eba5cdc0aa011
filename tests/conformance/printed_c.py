"""Single operations printed in C, many in one library, and run on what they are known to get."""

from __future__ import annotations

import ctypes
from collections import Counter
from contextlib import suppress
from typing import Any

import numpy as np
import replay

from neurossm.c import build
from neurossm.c.equations import EquationPrinter, Storage
from neurossm.c.numbers import INT64
from neurossm.c.texts import definition
from neurossm.c.unit import HELPERS, CArgument, TranslationUnit
from neurossm.errors import NeuroSSMError

LARGEST = 20_000
"""Integers of an operation whose mutants are run."""
LOUD = (ArithmeticError, LookupError, ValueError, NeuroSSMError)


class Printed:
    """Kernels in one library; all tensors and states are of 64 bits."""

    def __init__(self) -> None:
        self.unit = TranslationUnit()
        self.parts: list[Any] = []
        self.wrappers: list[str] = []

    def add(self, part: Any) -> None:
        """Print the operation of a part, by the equation it has at the moment."""
        op = part.op
        storage = Storage([INT64] * op.arity, INT64, [INT64] * len(op.states))
        printer = EquationPrinter(op, part.bounds, storage, self.unit)
        body = printer.body()
        arguments = [CArgument("int64_t *restrict y", f"y + r * {op.out.channels}")]
        for i, x in enumerate(part.inputs):
            arguments.append(CArgument(f"const int64_t *x{i}", f"x{i} + r * {x.shape[1]}"))
        for i, state in enumerate(op.states):
            size = int(np.prod(op.state_shape(state)))
            arguments.append(
                CArgument(f"int64_t *restrict {state.name}", f"states[{i}] + r * {size}")
            )
        for clips, name, at in ((printer.clips, "", 0), (printer.clips_states, "_states", 1)):
            if clips:
                arguments.append(CArgument(f"uint64_t *clipped{name}", f"counts + {at}"))
        self.unit.call("kernel", [*arguments, *printer.parameters], body)
        taken = "const int64_t *x0, const int64_t *x1, int64_t *y, int64_t **states"
        self.wrappers.append(
            f"void part_{len(self.parts)}({taken}, uint64_t *counts, size_t rows)\n{{\n"
            f"    for (size_t r = 0; r < rows; ++r) {{\n        {self.unit.calls[-1]}\n    }}\n}}"
        )
        self.parts.append(part)

    def could_add(self, part: Any) -> bool:
        """Add a part, unless its bounds tell that no word holds its integers."""
        try:
            self.add(part)
        except LOUD:
            return False
        return True

    def library(self) -> ctypes.CDLL:
        """Compile all of it."""
        text = [
            "#include <stddef.h>\n#include <stdint.h>",
            *(text for name, text in HELPERS.items() if name in self.unit.helpers),
            *map(definition, self.unit.parameters),
            *self.unit.definitions(),
            *self.wrappers,
        ]
        return build.library({"parts.c": "\n".join(text)}, "parts.c", ["-fwrapv"])

    def differences(self) -> list[str | None]:
        """Run all of them; return what differs in each from what is known, or None."""
        code = self.library()
        return [
            self._difference(getattr(code, f"part_{number}"), part)
            for number, part in enumerate(self.parts)
        ]

    def _difference(self, run: Any, part: Any) -> str | None:
        op, rows = part.op, len(part.output)
        inputs = [np.ascontiguousarray(x, np.int64) for x in part.inputs]
        out, counts = np.zeros(part.output.shape, np.int64), np.zeros(2, np.uint64)
        states = [np.array(part.before[s.name], np.int64, order="C") for s in op.states]
        places = np.array([state.ctypes.data for state in states] or [0], np.uintp)
        pointers = [inputs[0], inputs[-1], out, places, counts]
        run(*(ctypes.c_void_p(one.ctypes.data) for one in pointers), ctypes.c_size_t(rows))
        following = {s.name: state for s, state in zip(op.states, states, strict=True)}
        tally = Counter({op.state_tally: int(counts[1])})
        tally[op.name] += int(counts[0])
        found: str | None = replay._difference(part, out, following, tally)
        return found


def noticing(some: list[Any], most: int = 6) -> list[Any]:
    """Return some parts whose integers, printed for Python, differ without an error.

    What reads outside of a table is an error of the reference, and undefined in C.
    """
    found = []
    for part in some:
        with np.errstate(all="ignore"), suppress(*LOUD, replay.ShiftError):
            if replay.reference(part) is not None and replay.in_integers(part) is not None:
                found.append(part)
        if len(found) == most:
            break
    return found
