"""Products of packed numbers, accumulated in 32 bits: the inner step of a matrix product.

Numbers are packed as 32-bit floats, as pairs of 16-bit integers, or as groups of four bytes, the
first factor of which is unsigned. Some processors have one instruction for a pair or a group;
elsewhere these forms are correct, but slow.
"""

from __future__ import annotations

from typing import Any

from llvmlite import binding, ir
from numba.core import config, types
from numba.extending import intrinsic

from neurossm.engine.cpu.kernels.simd import INTS, SINGLES, llvm_type, pointer_to

_GROUPS = {types.float32: 1, types.int16: 2, types.uint8: 4}
_WIDE = INTS.lanes


def _has(feature: str) -> bool:
    """Tell whether machine code is made for a processor with a feature."""
    chosen = getattr(config, "CPU_FEATURES", None)
    if chosen is not None or getattr(config, "CPU_NAME", None) is not None:
        return f"+{feature}" in (chosen or "").split(",")
    return bool(binding.get_host_cpu_features().get(feature, False))


FAST_SHORTS = _has("avx512bw")
FAST_BYTES = _has("avx512vnni")


def _integer_vector(bits: int) -> ir.VectorType:
    return ir.VectorType(ir.IntType(bits), _WIDE * 32 // bits)


def _called(builder: Any, name: str, *args: Any) -> Any:
    kind = ir.FunctionType(llvm_type(INTS), [arg.type for arg in args])
    function = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(function, args)


def _slowly(builder: Any, x: Any, w: Any, group: int) -> Any:
    """Sum the products of each group without an instruction for it."""
    total = ir.Constant(llvm_type(INTS), [0] * _WIDE)
    undefined = ir.Constant(x.type, ir.Undefined)
    for first in range(group):
        picks = ir.Constant(llvm_type(INTS), list(range(first, group * _WIDE, group)))
        left, right = (builder.shuffle_vector(part, undefined, picks) for part in (x, w))
        widen = builder.zext if group == 4 else builder.sext
        product = builder.mul(widen(left, total.type), builder.sext(right, total.type))
        total = builder.add(total, product)
    return total


def _accumulated(builder: Any, x: Any, w: Any, group: int, total: Any) -> Any:
    """Add the products of each group; x and w are loaded as vectors of 32-bit integers."""
    if group == 4 and FAST_BYTES:
        return _called(builder, "llvm.x86.avx512.vpdpbusd.512", total, x, w)
    kind = _integer_vector(32 // group)
    x, w = builder.bitcast(x, kind), builder.bitcast(w, kind)
    if group == 2 and FAST_SHORTS:
        return builder.add(total, _called(builder, "llvm.x86.avx512.pmaddw.d.512", x, w))
    return builder.add(total, _slowly(builder, x, w, group))


def _dot(typing: Any, x: Any, i: Any, w: Any, j: Any, total: Any) -> Any:
    group = _GROUPS[x.dtype]

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = llvm_type(total)
        kinds, align = signature.args, 4 // group
        one = pointer_to(context, builder, kinds[0], args[:2], kind.element)
        undefined, at = ir.Constant(kind, ir.Undefined), ir.Constant(ir.IntType(32), 0)
        first = builder.insert_element(undefined, builder.load(one, align=align), at)
        picks = ir.Constant(llvm_type(INTS), [0] * _WIDE)
        left = builder.shuffle_vector(first, undefined, picks)
        many = pointer_to(context, builder, kinds[2], args[2:4], kind)
        right = builder.load(many, align=align)
        if group > 1:
            return _accumulated(builder, left, right, group, args[4])
        product = builder.fmul(left, right, flags=("contract",))
        return builder.fadd(product, args[4], flags=("contract",))

    return total(x, types.intp, w, types.intp, total), generate


def _nothing(typing: Any, x: Any) -> Any:
    vector = SINGLES if x.dtype == types.float32 else INTS

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return ir.Constant(llvm_type(vector), [0] * vector.lanes)

    return vector(x), generate


def _group_size(typing: Any, x: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return context.get_constant(types.intp, _GROUPS[x.dtype])

    return types.intp(x), generate


def _pack(typing: Any, out: Any, i: Any, vector: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        values = args[2]
        if out.dtype == types.float32:
            kind = ir.VectorType(ir.FloatType(), vector.lanes)
            values = builder.fptrunc(values, kind)
        else:
            kind = ir.VectorType(ir.IntType(out.dtype.bitwidth), vector.lanes)
            whole = builder.fptosi(values, ir.VectorType(ir.IntType(32), vector.lanes))
            values = builder.trunc(whole, kind)
        pointer = pointer_to(context, builder, signature.args[0], args, kind)
        builder.store(values, pointer, align=out.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.none(out, types.intp, vector), generate


dot: Any = intrinsic(_dot)
"""`dot(x, i, w, j, total)`: in each lane l, `total` plus the sum over a group, of size g, of
`x[i + k] w[j + g l + k]`. `x` is of float32 (g = 1), int16 (2) or uint8 (4), `w` of int8 there."""
nothing: Any = intrinsic(_nothing)
"""`nothing(x)`: the zero vector to begin a sum of products of `x` with."""
group_size: Any = intrinsic(_group_size)
"""`group_size(x)`: numbers in a group of the array `x`."""
pack: Any = intrinsic(_pack)
"""`pack(out, i, vector)`: store 64-bit floats as what `out` is of."""
