"""At the borders of what floats hold exactly, the engine changes to integers, and stays right."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from neurossm import program as p
from neurossm.engine.cpu.kernels.dot import FAST_SHORTS


def affine(gain: int, shift: int, offset: int = 0, bits: int = 60, source: str = "x") -> p.Affine:
    fields = (np.array([gain]), np.array([shift]), np.array([offset]))
    return p.Affine("op", (source,), p.unchecked(bits, 0, 1), *fields)


# With shift 1 the sum is 2^bits gain + 1 (the half) in units of 1/2, which must stay below 2^53.
@pytest.mark.parametrize(
    ("bits", "gain", "shift", "kind"),
    [
        (40, (1 << 13) - 1, 1, "AFFINE"),  # (2^13 - 1) 2^40 + 1 < 2^53
        (40, 1 << 13, 1, "X_AFFINE"),
        (50, 7, 1, "AFFINE"),
        (50, 8, 1, "X_AFFINE"),
        (40, 1, -11, "AFFINE"),  # 2^51, in halves 2^52, and the half
        (40, 1, -12, "X_AFFINE"),  # 2^52 + 1/2 needs 54 bits
        (40, 1, 53, "AFFINE"),  # 2^40 + 2^52 < 2^53
        (40, 1, 54, "X_AFFINE"),  # the half alone is 2^53 units
    ],
)
def test_affine(engine: SimpleNamespace, bits: int, gain: int, shift: int, kind: str) -> None:
    program = engine.around([affine(gain, shift)], bits=bits, channels=1)
    assert kind in engine.instructions(program)
    engine.compared(program, engine.extremes(program))


def test_halves_round_up(engine: SimpleNamespace) -> None:
    """rshift(-1, 1) = 0, rshift(-3, 1) = -1, rshift(3, 1) = 2: checked on the integers below 8."""
    program = engine.around([affine(1, 1)], bits=3, channels=1)
    x = np.arange(-8, 9)
    out = program.run(x[None, :, None] / 8.0, engine="fast", record=["op"]).tensors["op"]
    # floor((m + 1) / 2)
    assert out.ravel().tolist() == [(m + 1) // 2 for m in range(-8, 9)]


def test_largest_integers(engine: SimpleNamespace) -> None:
    """Inputs of 2^53 and more are held as integers; a Spike still compares them exactly."""
    spikes = p.Spike("op", ("x",), p.unchecked(2, 0, 1), np.array([(1 << 53) - 1]))
    program = engine.around([spikes], bits=53, channels=1)
    assert "X_SPIKE" in engine.instructions(program)
    engine.compared(program, engine.extremes(program))
    for threshold, bits, kind in (
        ((1 << 53) - 1, 52, "TERNARY"),
        (1 << 53, 52, "X_TERNARY"),  # no float holds such a parameter exactly
        ((1 << 53) - 1, 55, "X_TERNARY"),
        (1 << 60, 55, "X_TERNARY"),
    ):
        wide = p.Ternary("op", ("x",), p.unchecked(3, 0, 1), np.array([threshold]))
        program = engine.around([wide], bits=bits, channels=1)
        assert kind in engine.instructions(program)
        engine.compared(program, engine.extremes(program))


@pytest.mark.parametrize(
    ("bits", "row", "kind"),
    [
        (16, [200, -55], "SINGLE_DENSE"),  # 255 2^16 < 2^24
        (16, [200, -56], "DENSE"),  # 256 2^16 = 2^24
        (45, [200, -55], "DENSE"),  # 255 2^45 < 2^53
        (45, [200, -56], "X_DENSE"),
    ],
)
def test_dense(engine: SimpleNamespace, bits: int, row: list[int], kind: str) -> None:
    weight = np.array([row, row[::-1], [1, 1]])
    op = p.Dense("op", ("x",), p.unchecked(62, 0, 3), weight)
    program = engine.around([op], bits=bits, channels=2)
    assert kind in engine.instructions(program)
    data = engine.extremes(program)
    data[0, 2], data[0, 3] = [1.0, -1.0], [-1.0, 1.0]  # the largest sums
    engine.compared(program, data)
    engine.compared(program, data, ())


@pytest.mark.skipif(not FAST_SHORTS, reason="this processor has no fast products of 16 bits")
@pytest.mark.parametrize(("largest", "kind"), [(32767, "SHORT"), (32768, "SINGLE")])
def test_shorts(engine: SimpleNamespace, largest: int, kind: str) -> None:
    """Weights of 16 bits take products of pairs; (-2^15)^2 twice would be 2^31."""
    weight = np.array([[largest, -32768], [-32768, -32768], [3, 0]])
    op = p.Dense("op", ("x",), p.unchecked(62, 0, 3), weight)
    program = engine.around([op], bits=7, channels=2)
    assert f"{kind}_DENSE" in engine.instructions(program)
    data = engine.extremes(program)
    data[0, 2] = [-1.0, 1.0]
    engine.compared(program, data)


def test_bytes_are_offset(engine: SimpleNamespace) -> None:
    """Inputs from -127 to 127 are offset by 127 to become bytes; 8-bit weights, odd counts."""
    rng = np.random.default_rng(0)
    weight = rng.integers(-128, 128, (37, 13))
    weight[0] = -128
    op = p.Dense("op", ("x",), p.unchecked(40, 0, 37), weight)
    for bits in (6, 7, 8):  # [-128, 128] has 257 values: no bytes
        program = engine.around([op], bits=bits, channels=13)
        engine.compared(program, engine.extremes(program, bits))
        engine.compared(program, engine.extremes(program, bits), ())


@pytest.mark.parametrize(("bits", "kind"), [(24, "PRODUCT"), (25, "X_PRODUCT")])
def test_product(engine: SimpleNamespace, bits: int, kind: str) -> None:
    """4 x x is 2^50 or 2^52; and 2^52 + 1/2 needs 54 bits."""
    op = p.Product("op", ("x", "x"), p.unchecked(60, 0, 1), np.array([-2]))
    program = engine.around([op], bits=bits, channels=1)
    assert kind in engine.instructions(program)
    engine.compared(program, engine.extremes(program))


@pytest.mark.parametrize(("bits", "kind"), [(51, "ADD"), (52, "X_ADD"), (54, "X_ADD")])
def test_add(engine: SimpleNamespace, bits: int, kind: str) -> None:
    same = p.Affine(
        "y", ("x",), p.unchecked(60, bits, 1), np.ones(1, int), np.zeros(1, int), np.ones(1, int)
    )
    op = p.Add("op", ("x", "y"), p.unchecked(60, bits, 1))
    program = engine.around([same, op], bits=bits, channels=1)
    assert kind in engine.instructions(program)
    engine.compared(program, engine.extremes(program))


@pytest.mark.parametrize(("bits", "kind"), [(44, "TABLE"), (45, "X_TABLE"), (53, "X_TABLE")])
def test_table(engine: SimpleNamespace, bits: int, kind: str) -> None:
    """Slope 255 / 2 times up to 2 * 2^44 from the left end: 255 2^45 halves, below 2^53."""
    op = p.Table(
        "op",
        ("x",),
        p.unchecked(60, 0, 1),
        origin=-(1 << bits),
        width=bits - 1,
        base=np.array([5, -7, 11, 13]),
        slope=np.array([255, -255, 3, 1]),
        slope_shift=1,
    )
    program = engine.around([op], bits=bits, channels=1)
    assert kind in engine.instructions(program)
    engine.compared(program, engine.extremes(program))


def ssm(**fields: object) -> p.SSM:
    H, N = 2, 3
    rng = np.random.default_rng(1)
    angle = rng.uniform(0, 3, (H, N))
    pole = 0.9 * np.exp(1j * angle) * 2**15
    default = {
        "a_re": np.trunc(pole.real).astype(int),
        "a_im": np.trunc(pole.imag).astype(int),
        "pole_shift": np.full((H, N), 15),
        "input_shift": np.zeros((H, N), int),
        "c_re": rng.integers(-99, 99, (H, N)),
        "c_im": rng.integers(-99, 99, (H, N)),
        "readout_shift": np.array([0, 3]),
        "d": np.array([5, -6]),
        "d_shift": np.array([-1, 2]),
        "state_bits": 24,
    }
    out = p.unchecked(58, 0, H)
    return p.SSM("op", ("x",), out, **(default | fields))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("bits", "fields", "kind"),
    [
        (12, {}, "RECUR"),
        (12, {"state_bits": 8}, "RECUR"),  # saturating
        (12, {"readout_shift": np.array([0, 54])}, "X_SSM"),  # a half of 2^53
        (12, {"c_re": np.full((2, 3), 1 << 36)}, "X_SSM"),
        (12, {"d": np.array([1 << 45, 0])}, "X_SSM"),
        (34, {"state_bits": 40}, "RECUR"),  # 2^15 * 2^36 or so
        (37, {"state_bits": 40}, "X_SSM"),
        (12, {"state_bits": 40, "input_shift": np.full((2, 3), 26)}, "X_SSM"),  # u 2^41
        (53, {"state_bits": 30, "input_shift": np.full((2, 3), -9)}, "X_SSM"),
    ],
)
def test_ssm(engine: SimpleNamespace, bits: int, fields: dict[str, object], kind: str) -> None:
    program = engine.around([ssm(**fields)], bits=bits, channels=2)
    assert kind in engine.instructions(program)
    data = engine.extremes(program, steps=40)
    data[1], data[2] = 1.0, -1.0  # constant inputs drive real poles to their bounds
    engine.compared(program, data)
    engine.compared(program, data, ("op",))


@pytest.mark.parametrize(("bits", "kind"), [(40, "LAYERNORM"), (51, "X_LAYERNORM")])
def test_layernorm(engine: SimpleNamespace, bits: int, kind: str) -> None:
    """The deviation is H times x and must be held: 4 * 6 * 2^40 < 2^53 <= 4 * 6 * 2^51."""
    rng = np.random.default_rng(2)
    op = p.LayerNorm(
        "op",
        ("x",),
        p.unchecked(40, 0, 6),
        gain=rng.integers(-999, 999, 6),
        shift=rng.integers(-2, 14, 6),
        offset=rng.integers(-99, 99, 6),
        eps=12345,
    )
    program = engine.around([op], bits=bits, channels=6)
    assert kind in engine.instructions(program)
    data = engine.extremes(program)
    data[1, 0] = 0.25  # no deviation at all
    engine.compared(program, data)


def test_layernorm_of_nothing(engine: SimpleNamespace) -> None:
    """Without deviation and eps the output is the offset."""
    op = p.LayerNorm(
        "op", ("x",), p.unchecked(40, 0, 3), np.ones(3, int), np.zeros(3, int), np.arange(3), 0
    )
    program = engine.around([op], bits=10, channels=3)
    out = program.run(np.full((1, 2, 3), 0.5), engine="fast", record=["op"]).tensors["op"]
    assert (out == [0, 1, 2]).all()


def test_uncertified_program(engine: SimpleNamespace) -> None:
    """Without bounds nothing is proved, and everything that can saturate is checked."""
    dense = p.Dense("sum", ("x",), p.unchecked(40, 0, 2), np.array([[100, 100], [3, -100]]))
    narrow = affine(3, 2, 1, bits=10, source="sum")
    narrow = p.Affine(
        "op", ("sum",), p.unchecked(10, 0, 2), np.array([3, 1]), np.array([2, -1]), np.array([0, 9])
    )
    program = engine.around([dense, narrow], bits=10, channels=2, certified=False)
    data = engine.extremes(program)
    engine.compared(program, data)
    engine.compared(program, data, ())
    assert program.run(data, engine="fast").saturations["op"] > 0
