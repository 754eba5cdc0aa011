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
INTS = Vector(types.int32, 2 * LANES)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, vector: Vector) -> None:
        super().__init__(manager, vector, llvm_type(vector))  # type: ignore[no-untyped-call]


def llvm_type(vector: Vector) -> ir.VectorType:
    """Return the compiler's type of a vector."""
    elements = {types.float64: ir.DoubleType(), types.float32: ir.FloatType()}
    return ir.VectorType(elements.get(vector.dtype, ir.IntType(32)), vector.lanes)


def _of(number: Any) -> Vector:
    return DOUBLES if number == types.float64 else SINGLES


def pointer_to(context: Any, builder: Any, kind: Any, args: Any, to: Any) -> Any:
    """Return a pointer of type `to` to an element: args are an array of type `kind`, an index."""
    array, index = args[:2]
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), to.as_pointer())


def _load(typing: Any, array: Any, index: Any) -> Any:
    vector = _of(array.dtype)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, signature.args[0], args, llvm_type(vector))
        return builder.load(pointer, align=vector.dtype.bitwidth // 8)

    return vector(array, types.intp), generate


def _store(typing: Any, array: Any, index: Any, vector: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = pointer_to(context, builder, signature.args[0], args, llvm_type(vector))
        builder.store(args[2], pointer, align=vector.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(array, types.intp, vector), generate


def _splat(typing: Any, number: Any) -> Any:
    vector = _of(number)

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = llvm_type(vector)
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


def _mul(typing: Any, a: Any, b: Any) -> Any:
    return _arithmetic("fmul")(a, 2)


def _add(typing: Any, a: Any, b: Any) -> Any:
    return _arithmetic("fadd")(a, 2)


def _fma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    return _arithmetic("fmul", "fadd")(a, 3)


def _fnma(typing: Any, a: Any, b: Any, c: Any) -> Any:
    return _arithmetic("fmul", "fsub")(a, 3)


def _floor(typing: Any, a: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = llvm_type(a)
        name = f"llvm.floor.v{a.lanes}f{a.dtype.bitwidth}"
        function = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(kind, [kind]), name
        )
        return builder.call(function, args)

    return a(a), generate


def _clip(typing: Any, a: Any, low: Any, high: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value, low, high = args
        # In this order a NaN becomes `low`, and each line is one instruction.
        value = builder.select(builder.fcmp_ordered(">", value, low), value, low)
        return builder.select(builder.fcmp_ordered("<", value, high), value, high)

    return a(a, a, a), generate


def _extreme(predicate: str) -> Any:
    def typer(typing: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return builder.select(builder.fcmp_ordered(predicate, *args), *args)

        return a(a, a), generate

    return typer


def _exceeds(typing: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = llvm_type(a)
        one, zero = (ir.Constant(kind, [number] * a.lanes) for number in (1.0, 0.0))
        return builder.select(builder.fcmp_ordered(">", *args), one, zero)

    return a(a, a), generate


def _gather(typing: Any, array: Any, index: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, args[0]).data
        positions = builder.fptosi(args[1], ir.VectorType(ir.IntType(64), index.lanes))
        result = ir.Constant(llvm_type(index), ir.Undefined)
        for lane in range(index.lanes):
            at = ir.Constant(ir.IntType(32), lane)
            pointer = builder.gep(data, [builder.extract_element(positions, at)])
            result = builder.insert_element(result, builder.load(pointer), at)
        return result

    return index(array, index), generate


def _choose(typing: Any, condition: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        zero = ir.Constant(llvm_type(a), [0.0] * a.lanes)
        return builder.select(builder.fcmp_unordered("!=", args[0], zero), args[1], args[2])

    return a(a, a, a), generate


def _lanes_below(typing: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = llvm_type(DOUBLES)
        number = builder.sitofp(args[0], ir.DoubleType())
        limit: Any = ir.Constant(kind, ir.Undefined)
        for lane in range(LANES):
            limit = builder.insert_element(limit, number, ir.Constant(ir.IntType(32), lane))
        lanes = ir.Constant(kind, [float(lane) for lane in range(LANES)])
        one, zero = (ir.Constant(kind, [value] * LANES) for value in (1.0, 0.0))
        return builder.select(builder.fcmp_ordered("<", lanes, limit), one, zero)

    return DOUBLES(types.intp), generate


def _differs(typing: Any, a: Any, b: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.uitofp(builder.fcmp_ordered("!=", *args), llvm_type(a))

    return a(a, a), generate


def _reduce(kind: str) -> Any:
    """Return a typer of reductions over the lanes: the sum, or the largest."""

    def typer(typing: Any, a: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            result = None
            for lane in range(a.lanes):
                one = builder.extract_element(args[0], ir.Constant(ir.IntType(32), lane))
                if result is None:
                    result = one
                elif kind == "sum":
                    result = builder.fadd(result, one)
                else:
                    result = builder.select(builder.fcmp_ordered(">", one, result), one, result)
            return result

        return a.dtype(a), generate

    return typer


def _half(builder: Any, vector: Any, high: bool) -> Any:
    first = LANES if high else 0
    picks = ir.VectorType(ir.IntType(32), LANES)
    constant = ir.Constant(picks, list(range(first, first + LANES)))
    return builder.shuffle_vector(vector, ir.Constant(vector.type, ir.Undefined), constant)


def _widened(high: bool) -> Any:
    def typer(typing: Any, a: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            half = _half(builder, args[0], high)
            convert = builder.fpext if a == SINGLES else builder.sitofp
            return convert(half, llvm_type(DOUBLES))

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
mul: Any = intrinsic(_mul)
"""`mul(a, b)`: a b."""
fma: Any = intrinsic(_fma)
"""`fma(a, b, c)`: a b + c."""
fnma: Any = intrinsic(_fnma)
"""`fnma(a, b, c)`: c - a b."""
floor: Any = intrinsic(_floor)
"""`floor(a)`."""
clip: Any = intrinsic(_clip)
"""`clip(a, low, high)`; a NaN becomes `low`."""
greater: Any = intrinsic(_extreme(">"))
"""`greater(a, b)`: the greater of a and b."""
lesser: Any = intrinsic(_extreme("<"))
"""`lesser(a, b)`: the lesser of a and b."""
exceeds: Any = intrinsic(_exceeds)
"""`exceeds(a, b)`: 1.0 where a > b, else 0.0."""
choose: Any = intrinsic(_choose)
"""`choose(condition, a, b)`: a where the condition is not 0, else b."""
lanes_below: Any = intrinsic(_lanes_below)
"""`lanes_below(count)`: 1.0 in the first `count` lanes, 0.0 in the others."""
gather: Any = intrinsic(_gather)
"""`gather(array, index)`: the numbers at the whole-numbered indices in `index`."""
differs: Any = intrinsic(_differs)
"""`differs(a, b)`: 1.0 where a and b differ, else 0.0."""
total: Any = intrinsic(_reduce("sum"))
"""`total(a)`: the sum of the lanes."""
largest: Any = intrinsic(_reduce("largest"))
"""`largest(a)`: the largest lane."""
lower_half: Any = intrinsic(_widened(high=False))
"""`lower_half(a)`: the first half of the lanes of 32-bit numbers, as 64-bit floats."""
upper_half: Any = intrinsic(_widened(high=True))
"""`upper_half(a)`: the second half of the lanes of 32-bit numbers, as 64-bit floats."""
