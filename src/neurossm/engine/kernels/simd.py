"""Vectors of numbers inside Numba kernels, mapped to the vector instructions of any machine.

Numba leaves vectorisation to the compiler, which keeps the states of a recurrence in memory. With
these values they stay in registers for a whole chunk of time. A `Vector` is a value of the
compiler's own vector type: where a machine's registers are narrower, it uses several.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, register_model

LANES = 8
"""Numbers in a vector of 64-bit floats; twice as many are in one of 32-bit floats."""
ROW = 2 * LANES
"""Words to which the columns of a tensor are padded: one vector of 32-bit floats."""


class Vector(types.Type):
    """Numba's type of `lanes` floats of type `dtype`."""

    def __init__(self, dtype: Any, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        super().__init__(f"Vector({dtype} x {lanes})")


DOUBLES = Vector(types.float64, LANES)
SINGLES = Vector(types.float32, 2 * LANES)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, _llvm(vector))  # type: ignore[no-untyped-call]


def _llvm(vector: Vector) -> ir.VectorType:
    element = ir.DoubleType() if vector.dtype == types.float64 else ir.FloatType()
    return ir.VectorType(element, vector.lanes)


def _of(number: Any) -> Vector:
    return DOUBLES if number == types.float64 else SINGLES


def _pointer(context: Any, builder: Any, kind: Any, args: Any, to: Any) -> Any:
    array, index = args[:2]
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), to.as_pointer())


def _load(typing: Any, array: Any, index: Any) -> Any:
    vector = _of(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args, _llvm(vector))
        return builder.load(pointer, align=vector.dtype.bitwidth // 8)

    return vector(array, types.intp), generate


def _store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], args, _llvm(vector))
        builder.store(args[2], pointer, align=vector.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, vector), generate


def _splat(typing: Any, number: Any) -> Any:
    vector = _of(number)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = _llvm(vector)
        undefined = ir.Constant(kind, ir.Undefined)
        first = builder.insert_element(undefined, args[0], ir.Constant(ir.IntType(32), 0))
        picks = ir.Constant(ir.VectorType(ir.IntType(32), vector.lanes), [0] * vector.lanes)
        return builder.shuffle_vector(first, undefined, picks)

    return vector(number), generate


def _arithmetic(*operations: str) -> Any:
    """Return a generator for `a op b`, or `(a op b) op' c`, of three vectors."""

    def typer(vector: Any, count: int) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            value = getattr(builder, operations[0])(args[0], args[1], flags=("contract",))
            if count == 3 and operations[1] == "fsub":  # c - a b
                return builder.fsub(args[2], value, flags=("contract",))
            if count == 3:
                return builder.fadd(value, args[2], flags=("contract",))
            return value

        return vector(*[vector] * count), generate

    return typer


def _add(typing: Any, a: Any, b: Any) -> Any:
    return _arithmetic("fadd")(a, 2)


def _fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    return _arithmetic("fmul", "fadd")(a, 3)


def _fnma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    return _arithmetic("fmul", "fsub")(a, 3)


def _floor(typing: Any, a: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = _llvm(a)
        name = f"llvm.floor.v{a.lanes}f{a.dtype.bitwidth}"
        function = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(kind, [kind]), name
        )
        return builder.call(function, args)

    return a(a), generate


def _clip(typing: Any, a: Any, low: Any, high: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, low, high = args
        value = builder.select(builder.fcmp_ordered("<", value, low), low, value)
        return builder.select(builder.fcmp_ordered(">", value, high), high, value)

    return a(a, a, a), generate


def _differs(typing: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.uitofp(builder.fcmp_ordered("!=", *args), _llvm(a))

    return a(a, a), generate


def _widened(high: bool) -> Any:
    def typer(typing: Any, a: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            first = LANES if high else 0
            picks = ir.VectorType(ir.IntType(32), LANES)
            half = builder.shuffle_vector(
                args[0],
                ir.Constant(_llvm(a), ir.Undefined),
                ir.Constant(picks, list(range(first, first + LANES))),
            )
            return builder.fpext(half, _llvm(DOUBLES))

        return DOUBLES(a), generate

    return typer


load: Any = intrinsic(_load)
"""`load(array, index)`: the vector that begins at an index of a flat array."""
store: Any = intrinsic(_store)
"""`store(array, index, vector)`."""
splat: Any = intrinsic(_splat)
"""`splat(number)`: the same number in all lanes."""
add: Any = intrinsic(_add)
"""`add(a, b)`: a + b."""
fma: Any = intrinsic(_fma)
"""`fma(a, b, c)`: a b + c."""
fnma: Any = intrinsic(_fnma)
"""`fnma(a, b, c)`: c - a b."""
floor: Any = intrinsic(_floor)
"""`floor(a)`."""
clip: Any = intrinsic(_clip)
"""`clip(a, low, high)`."""
differs: Any = intrinsic(_differs)
"""`differs(a, b)`: 1.0 where a and b differ, else 0.0."""
lower_half: Any = intrinsic(_widened(high=False))
"""`lower_half(singles)`: the first half of the lanes as 64-bit floats."""
upper_half: Any = intrinsic(_widened(high=True))
"""`upper_half(singles)`: the second half of the lanes as 64-bit floats."""
