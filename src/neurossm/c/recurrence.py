"""The recurrence of an SSM in vectors of doubles, many steps at once, where they hold it exactly.

Eight channels lie side by side, and their states stay in registers while time runs. A shift with
rounding is a sum with a large number: `M = 3 2^51` has no fraction, so that `p 2^-k + h + M`,
which is rounded once, holds the nearest integer to `p 2^-k + h`. With `h = 2^-(m + 1)`, m the
greatest of the shifts k, no tie is possible, and halves of p go up, as they must. The readout adds
up such sums as the integers that their bits are, and takes the bits of M off at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from neurossm.arrays import IntArray
from neurossm.c.numbers import INT32, CType
from neurossm.c.unit import CArgument, TranslationUnit, filled, vector_type
from neurossm.derive.exactness import DOUBLE, exact
from neurossm.program import SSM, Interval, limits

LANES = 8
TOGETHER = 4
"""Modes whose states are in registers at a time."""
_FIELDS = ("a_re", "a_im", "pole_shift", "input_shift", "c_re", "c_im")
INT16 = CType(16)
"""What vectors can be made of in one instruction, unlike bytes."""
_CHANNEL_FIELDS = ("readout_shift", "d", "d_shift")


def holds(op: SSM, u: Interval) -> bool:
    """Tell whether doubles hold every sum of the kernel below, and nothing is to be clipped.

    A sum is exact if the magnitudes of its terms, in units of the smallest bit of any, stay
    together below 2**53; and what M is added to must stay below 2**51.
    """
    if not (op.out.proved and op.states_proved(u)) or (exact(u.largest()) >= DOUBLE // 4).any():
        return False
    kept = [part.clipped(*limits(op.state_bits)).largest() for part in op.state_bounds(u).values()]
    re, im = map(exact, kept)
    most, x = np.maximum(re, im), exact(u.largest())
    pole, k = (part.astype(object) for part in (op.pole_shift, op.input_shift))
    sums = (exact(op.a_re) + exact(op.a_im)) * most + (x[:, None] << (pole + k))
    readout = exact(op.c_re) * re + exact(op.c_im) * im
    direct = (exact(op.d) * x) << exact(np.maximum(-op.d_shift, 0))
    return all(
        bool(
            ((largest << (1 + shift.max() - shift)) < DOUBLE - 1).all()
            and ((largest >> shift) < DOUBLE // 4 - 2).all()
        )
        for largest, shift in (
            (sums, pole),
            (readout, op.readout_shift[:, None].astype(object)),
            (direct, exact(np.maximum(op.d_shift, 0))),
        )
    )


def half_bit(shift: IntArray) -> str:
    """Return half of the last bit of anything that is shifted to the right by one of these."""
    most = int(shift.max())
    return f"POWER(zero - {most + 1})" if most > 0 else "(lanes)zero"


def size(op: SSM) -> int:
    """Return the number of integers in each state, (blocks, modes, LANES)."""
    return -(-op.out.channels // LANES) * LANES * -(-op.modes // TOGETHER) * TOGETHER


@dataclass(frozen=True)
class Recurrence:
    """The kernel of an SSM whose input, output and states have these types."""

    op: SSM
    x: CType
    y: CType
    states: Sequence[CType]

    @property
    def blocks(self) -> int:
        """Number of groups of channels."""
        return -(-self.op.out.channels // LANES)

    @property
    def modes(self) -> int:
        """Number of modes, with those that are 0 throughout."""
        return -(-self.op.modes // TOGETHER) * TOGETHER

    def parameters(self, unit: TranslationUnit) -> tuple[list[CArgument], list[CType]]:
        """Add the parameters; return the arguments for them, and their types."""
        arguments, kinds = [], []
        for name in (*_FIELDS, *_CHANNEL_FIELDS):
            values = getattr(self.op, name)
            values = self._arranged(values) if values.ndim == 2 else self._padded(values)
            array = unit.parameter(self.op.name, name, values, INT16)
            arguments.append(CArgument(f"const {array.kind.name} *{name}", array.name))
            kinds.append(array.kind)
        for kind in (INT32, *kinds, self.x, self.y, *self.states):
            unit.vectors |= dict([vector_type(kind, LANES)])
        return arguments, kinds

    def _padded(self, values: IntArray) -> IntArray:
        return np.pad(values, (0, self.blocks * LANES - values.size))

    def _arranged(self, values: IntArray) -> IntArray:
        """Return numbers (H, N) as (blocks, modes, LANES)."""
        table = np.zeros((self.blocks * LANES, self.modes), np.int64)
        table[: values.shape[0], : values.shape[1]] = values
        return table.reshape(self.blocks, LANES, self.modes).transpose(0, 2, 1)

    def body(self, kinds: Sequence[CType], chunk: str) -> Iterator[str]:
        """Yield the function's lines."""
        channels = self.op.out.channels
        yield "    const lane_integers zero = {0};"
        yield "    const lanes big = POWER(zero + 52) + POWER(zero + 51);"
        for name, shift in (
            ("half", self.op.pole_shift),
            ("half_y", self.op.readout_shift),
            ("half_d", self.op.d_shift),
        ):
            yield f"    const lanes {name} = {half_bit(shift)};"
        yield f"    lanes u[{chunk}];"
        yield f"    lane_bits sum[{chunk}];"
        yield f"    for (size_t b = 0; b < {self.blocks}; ++b) {{"
        yield f"        const size_t first = b * {LANES};"
        yield f"        const size_t count = {filled(channels, LANES, 'first')};"
        for name, kind in zip(_CHANNEL_FIELDS, kinds[-3:], strict=True):
            loaded = _loaded(f"{name} + first", kind, "lane_integers")
            yield f"        const lane_integers {name}_b = {loaded};"
        yield "        const lanes unit = POWER(-readout_shift_b);"
        yield f"        const lanes gain = {_converted('d_b', 'lanes')} * POWER(-d_shift_b);"
        yield "        for (size_t t = 0; t < steps; ++t) {"
        yield f"            {self.x.name} row[{LANES}] = {{0}};"
        yield f"            memcpy(row, x0 + t * {channels} + first, count * sizeof row[0]);"
        yield f"            u[t] = {_loaded('row', self.x)};"
        yield "            sum[t] = (lane_bits)(u[t] * gain + half_d + big);"
        yield "        }"
        yield f"        for (size_t n = 0; n < {self.modes}; n += {TOGETHER}) {{"
        yield f"            const size_t at = (b * {self.modes} + n) * {LANES};"
        for j in range(TOGETHER):
            yield from (f"            {line}" for line in self._mode(j, kinds))
        yield "            for (size_t t = 0; t < steps; ++t) {"
        yield "                lane_bits more = sum[t];"
        for j in range(TOGETHER):
            yield from (f"                {line}" for line in _step(j))
        yield "                sum[t] = more;"
        yield "            }"
        for j in range(TOGETHER):
            for part, kind in zip(("re", "im"), self.states, strict=True):
                place = f"state_{part} + at + {j * LANES}"
                yield f"            {_stored(place, f'{part}{j}', kind)}"
        yield "        }"
        yield f"        const lane_bits off = (lane_bits)big * {self.modes + 1};"
        yield "        for (size_t t = 0; t < steps; ++t) {"
        yield f"            {self.y.name} row[{LANES}];"
        yield f"            {_stored('row', '(lane_integers)(sum[t] - off)', self.y)}"
        yield f"            memcpy(y + t * {channels} + first, row, count * sizeof row[0]);"
        yield "        }"
        yield "    }"

    def _mode(self, j: int, kinds: Sequence[CType]) -> Iterator[str]:
        """Yield the parameters and the states of one mode."""
        place = f"at + {j * LANES}"
        units = dict.fromkeys(("a_re", "a_im"), f"small{j}") | dict.fromkeys(
            ("c_re", "c_im"), "unit"
        )
        loaded = dict(zip(_FIELDS, kinds, strict=False))
        for name, sign, shift in (("small", "-", "pole_shift"), ("kick", "", "input_shift")):
            power = _loaded(f"{shift} + {place}", loaded[shift], "lane_integers")
            yield f"const lanes {name}{j} = POWER({sign}{power});"
        for name, unit in units.items():
            yield f"const lanes {name}{j} = {_loaded(f'{name} + {place}', loaded[name])} * {unit};"
        for part, kind in zip(("re", "im"), self.states, strict=True):
            yield f"lanes {part}{j} = {_loaded(f'state_{part} + {place}', kind)};"


def _step(j: int) -> Iterator[str]:
    """Yield one step of one mode."""
    kick = f"u[t] * kick{j} + half"
    yield f"const lanes next{j} = {kick} + a_re{j} * re{j} - a_im{j} * im{j} + big;"
    yield f"im{j} = half + a_re{j} * im{j} + a_im{j} * re{j} + big - big;"
    yield f"re{j} = next{j} - big;"
    yield f"more += (lane_bits)(half_y + c_re{j} * re{j} - c_im{j} * im{j} + big);"


def _loaded(place: str, kind: CType, wanted: str = "lanes") -> str:
    """Return eight integers that lie somewhere as doubles, or as 64-bit integers.

    Compilers know no one instruction from 16 bits to 64, and take eight for what two can do.
    """
    text = f"*(const {vector_type(kind, LANES)[0]} *)({place})"
    if kind.bits < 32:
        text = _converted(text, vector_type(INT32, LANES)[0])
    return _converted(text, wanted)


def _stored(place: str, value: str, kind: CType) -> str:
    """Return the statement that stores eight integers in a type."""
    name = vector_type(kind, LANES)[0]
    if kind.bits < 32:
        value = _converted(value, vector_type(INT32, LANES)[0])
    return f"*({name} *)({place}) = {_converted(value, name)};"


def _converted(text: str, wanted: str) -> str:
    return f"__builtin_convertvector({text}, {wanted})"
