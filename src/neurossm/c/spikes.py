"""Weights of spikes in vectors: what spikes is listed, and sums stay in registers meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from neurossm.arrays import IntArray
from neurossm.c.numbers import CType
from neurossm.c.unit import filled, vector_type
from neurossm.program import Dense

VECTOR_BYTES = 64
MOST = 4
"""Vectors of sums in registers at a time."""


@dataclass(frozen=True)
class SpikingDense:
    """The kernel of a Dense that reads spikes.

    `sums` is a type that holds every partial sum, and that of the weights: compilers take several
    instructions to widen a vector of bytes.
    """

    op: Dense
    sums: CType
    ternary: bool

    @property
    def lanes(self) -> int:
        """Sums in one vector."""
        return VECTOR_BYTES // self.sums.bytes

    @property
    def vectors(self) -> int:
        """Vectors of sums in a block."""
        return min(MOST, -(-self.op.out.channels // self.lanes))

    @property
    def block(self) -> int:
        """Outputs in a block."""
        return self.vectors * self.lanes

    @property
    def room(self) -> int:
        """Outputs with those that fill the last block."""
        return -(-self.op.out.channels // self.block) * self.block

    def body(self) -> Iterator[str]:
        """Yield the lines of one step."""
        outputs, inputs = self.op.weight.shape
        yield f"    size_t listed[{inputs + 1}];"
        yield "    size_t ends[3] = {0, 0, 0};"
        for k, sign in enumerate("><" if self.ternary else ">"):
            yield f"    ends[{k + 1}] = ends[{k}];"
            yield f"    for (size_t i = 0; i < {inputs}; ++i) {{"
            yield f"        listed[ends[{k + 1}]] = i * {self.room};"
            yield f"        ends[{k + 1}] += x0[i] {sign} 0;"
            yield "    }"
        yield f"    for (size_t o = 0; o < {self.room}; o += {self.block}) {{"
        yield f"        {self.sums.name} row[{self.block}];"
        name = vector_type(self.sums, self.lanes)[0]
        yield f"        const size_t count = {filled(outputs, self.block, 'o')};"
        for v in range(self.vectors):
            yield f"        {name} sum{v} = {{0}};"
        for k, sign in enumerate("+-" if self.ternary else "+"):
            yield f"        for (size_t j = ends[{k}]; j < ends[{k + 1}]; ++j) {{"
            yield f"            const {self.sums.name} *from = w + listed[j] + o;"
            for v in range(self.vectors):
                yield f"            sum{v} {sign}= *(const {name} *)(from + {v * self.lanes});"
            yield "        }"
        for v in range(self.vectors):
            yield f"        *({name} *)(row + {v * self.lanes}) = sum{v};"
        yield "        memcpy(y + o, row, count * sizeof row[0]);"
        yield "    }"


def padded(weight: IntArray, room: int) -> IntArray:
    """Return weights (O, I) as (I, room)."""
    return np.pad(weight.T, ((0, 0), (0, room - weight.shape[0])))
