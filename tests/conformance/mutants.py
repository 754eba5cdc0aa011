"""Altered engines: each edit below breaks one operation by one unit, one place or one comparison.

The text to replace must occur exactly once in its file, so that the table cannot rot in silence.
"""

from __future__ import annotations

from sandbox import Edit

_K = "engine/kernels"


def _point(old: str, new: str) -> Edit:
    return Edit(f"{_K}/pointwise.py", old, new)


def _exact(old: str, new: str) -> Edit:
    return Edit(f"{_K}/exact.py", old, new)


def _norm(old: str, new: str) -> Edit:
    return Edit(f"{_K}/layernorm.py", old, new)


def _ssm(old: str, new: str) -> Edit:
    return Edit(f"{_K}/ssm.py", old, new)


def _mix(old: str, new: str) -> Edit:
    return Edit(f"{_K}/mix.py", old, new)


def _machine(old: str, new: str) -> Edit:
    return Edit(f"{_K}/machine.py", old, new)


def _lower(old: str, new: str) -> Edit:
    return Edit("engine/lower.py", old, new)


def _bounds(old: str, new: str) -> Edit:
    return Edit("engine/bounds.py", old, new)


ONE = "splat(1.0)"

FLOATS = {
    "Input: a step too early": _point("data[sample, start + t, c]", "data[sample, t, c]"),
    "Affine: not rounded": _point(
        "y = floor(fma(load(p, c), load(x, row + c), load(p, stride + c)))",
        "y = fma(load(p, c), load(x, row + c), load(p, stride + c))",
    ),
    "Affine: one too many": _point(
        "y = floor(fma(load(p, c), load(x, row + c), load(p, stride + c)))",
        f"y = add({ONE}, floor(fma(load(p, c), load(x, row + c), load(p, stride + c))))",
    ),
    "Affine: the offset of another channel": _point(
        "y = floor(fma(load(p, c), load(x, row + c), load(p, stride + c)))",
        "y = floor(fma(load(p, c), load(x, row + c), load(p, stride + c + 1 - LANES % 2)))",
    ),
    "Spike: at the threshold too": _point(
        "exceeds(load(x, row + c), load(threshold, c))",
        f"exceeds(add(load(x, row + c), {ONE}), load(threshold, c))",
    ),
    "Ternary: at the upper threshold too": _point(
        "exceeds(value, limit)))", f"exceeds(add(value, {ONE}), limit)))"
    ),
    "Ternary: at the lower threshold too": _point(
        "below = exceeds(mul(minus, limit), value)",
        f"below = exceeds(add(mul(minus, limit), {ONE}), value)",
    ),
    "Ternary: no -1": _point("fma(minus, below, exceeds", "fma(splat(0.0), below, exceeds"),
    "Table: first segment left out": _point("first, last = splat(0.0)", "first, last = splat(1.0)"),
    "Table: last segment left out": _point("splat(size - 1.0)", "splat(max(size - 2.0, 0.0))"),
    "Table: segment to nearest": _point(
        "clip(floor(fma(value, scale, shift)), first, last)",
        "clip(floor(add(fma(value, scale, shift), splat(0.5))), first, last)",
    ),
    "Table: next slope": _point("p[3 : 3 + size], p[3 + size :]", "p[4 : 4 + size], p[3 + size :]"),
    "Table: not rounded": _point(
        "floor(fma(gather(slope, segment), value, gather(intercept, segment)))",
        "fma(gather(slope, segment), value, gather(intercept, segment))",
    ),
    "Product: rounded down": _point("half = splat(0.5)", "half = splat(0.0)"),
    "Product: halves down": _point("half = splat(0.5)", "half = splat(0.5 - 2.0**-20)"),
    "Product: of x with itself": _point(
        "both = mul(load(x, row + c), load(y, row + c))",
        "both = mul(load(x, row + c), load(x, row + c))",
    ),
    "Add: one too many": _point(
        "add(load(x, i), load(y, i))", f"add({ONE}, add(load(x, i), load(y, i)))"
    ),
    "saturation: upper limit one higher": _point(
        "min(max(value, low), high)", "min(max(value, low), high + 1)"
    ),
    "saturation: upper limit one lower": _point(
        "min(max(value, low), high)", "min(max(value, low), high - 1)"
    ),
    "saturation: lower limit one lower": _point(
        "min(max(value, low), high)", "min(max(value, low - 1), high)"
    ),
    "saturation: lower limit one higher": _point(
        "min(max(value, low), high)", "min(max(value, low + 1), high)"
    ),
    "saturation: only the upper side counted": _point(
        "count += clipped != value", "count += clipped < value"
    ),
    "saturation: last channel left out": _point(
        "part = x[row : row + channels]\n        for c in range(channels):\n"
        "            value = part[c]",
        "part = x[row : row + channels]\n        for c in range(channels - 1):\n"
        "            value = part[c]",
    ),
    "saturation: symmetric limits": _machine(
        "return -(1 << (bits - 1)), (1 << (bits - 1)) - 1",
        "return 1 - (1 << (bits - 1)), (1 << (bits - 1)) - 1",
    ),
    "saturation: one bit more": _machine(
        "return -(1 << (bits - 1)), (1 << (bits - 1)) - 1",
        "return -(1 << bits), (1 << bits) - 1",
    ),
    "saturation: sums taken for floats": _machine(
        "k.X_AFFINE, k.X_TABLE, k.X_PRODUCT, k.X_ADD, k.X_RECUR, k.X_LAYERNORM)",
        "k.X_AFFINE, k.X_TABLE, k.X_PRODUCT, k.X_RECUR, k.X_LAYERNORM)",
    ),
    "saturation: SSM outputs taken for floats": _machine(
        "k.X_AFFINE, k.X_TABLE, k.X_PRODUCT, k.X_ADD, k.X_RECUR, k.X_LAYERNORM)",
        "k.X_AFFINE, k.X_TABLE, k.X_PRODUCT, k.X_ADD, k.X_LAYERNORM)",
    ),
    "saturation: only the last chunk counted": _machine(
        "tally[op[c.TALLY]] += count", "tally[op[c.TALLY]] = count"
    ),
    "Readout: only the last step": _point("sums[c] += np.int64(part[c])", "sums[c] = part[c]"),
    "Readout: sample by sample in one place": _point(
        "sums = total[sample * room : sample * room + channels]", "sums = total[:channels]"
    ),
    "counts: the positive only": _point("counts[c] += part[c] != 0", "counts[c] += part[c] > 0"),
    "Embedding: next row": _mix(
        "first = np.int64(tokens[row * in_stride]) * outputs",
        "first = (np.int64(tokens[row * in_stride]) + 1) * outputs % w.size",
    ),
    "Dense: odd rows of half a panel": _mix(
        "floor(fma(gain, upper_half(sums), bias))", "floor(fma(gain, lower_half(sums), bias))"
    ),
    "Dense: bias of another column": _mix(
        "gain, bias = load(p, column), load(p, stride + column)\n"
        "    store(out, at + column, floor(fma(gain, lower_half(sums), bias)))",
        "gain, bias = load(p, column), load(p, column + column % 2 + stride + LANES)\n"
        "    store(out, at + column, floor(fma(gain, lower_half(sums), bias)))",
    ),
    "Dense: no offset of bytes": _mix("offset = splat(p[2 * stride])", "offset = splat(0.0)"),
    "Dense: last group of inputs left out": _mix(
        "groups = (inputs + step - 1) // step", "groups = inputs // step"
    ),
    "Dense: tiles of rows mixed up": _mix(
        "s50, s51 = dot(a, i, w0, j, s50), dot(a, i, w1, j, s51)",
        "s50, s51 = dot(a, i, w0, j, s50), dot(a, i, w0, j, s51)",
    ),
    "Dense: last rows left out": _mix(
        "for row in range(first, rows):", "for row in range(first, rows - rows % 8):"
    ),
    "Dense: an odd panel left out": _mix(
        "first = 0 if panel == panels - 1 and panels % 2 == 1 else tiled", "first = tiled"
    ),
    "Dense in single numbers: a sum begun at 1": _mix("to[:] = 0", "to[:] = 1"),
    "Dense in single numbers: negative inputs left out": _mix("if value != 0:", "if value > 0:"),
    "SSM: real part rounded down": _ssm(
        "new_re = floor(fnma(a_im, im, fma(a_re, re, fma(u, gain, half))))",
        "new_re = floor(fnma(a_im, im, fma(a_re, re, fma(u, gain, splat(0.0)))))",
    ),
    "SSM: imaginary part rounded down": _ssm(
        "new_im = floor(fma(a_im, re, fma(a_re, im, half)))\n    return new_re",
        "new_im = floor(fma(a_im, re, fma(a_re, im, splat(0.0))))\n    return new_re",
    ),
    "SSM: imaginary part from the new real part": _ssm(
        "new_im = floor(fma(a_im, re, fma(a_re, im, half)))\n    return new_re",
        "new_im = floor(fma(a_im, new_re, fma(a_re, im, half)))\n    return new_re",
    ),
    "SSM: conjugate poles": _ssm(
        "new_re = floor(fnma(a_im, im, fma(a_re, re, fma(u, gain, half))))",
        "new_re = floor(fma(a_im, im, fma(a_re, re, fma(u, gain, half))))",
    ),
    "SSM: readout of the old states": _ssm(
        "return new_re, new_im, floor(fnma(c_im, new_im, fma(c_re, new_re, half)))\n",
        "return new_re, new_im, floor(fnma(c_im, im, fma(c_re, re, half)))\n",
    ),
    "SSM: readout of the imaginary part added": _ssm(
        "return new_re, new_im, floor(fnma(c_im, new_im, fma(c_re, new_re, half)))\n",
        "return new_re, new_im, floor(fma(c_im, new_im, fma(c_re, new_re, half)))\n",
    ),
    "SSM: modes rounded together": _ssm(
        "return new_re, new_im, floor(fnma(c_im, new_im, fma(c_re, new_re, half)))\n",
        "return new_re, new_im, fnma(c_im, new_im, fma(c_re, new_re, half))\n",
    ),
    "SSM: one of four modes left out": _ssm(
        "add(add(y0, y1), add(y2, y3))", "add(add(y0, y1), y2)"
    ),
    "SSM: a state lost between chunks": _ssm("store(state, j + _S + LANES, im1)", "pass"),
    "SSM: direct path rounded down": _ssm(
        "store(y, t * LANES, floor(fma(d, v, half)))",
        "store(y, t * LANES, floor(fma(d, v, splat(0.0))))",
    ),
    "SSM: second block of channels left out": _ssm(
        "for block in range((channels + LANES - 1) // LANES):",
        "for block in range(max(1, channels // LANES)):",
    ),
    "SSM, saturating: real part of no limit": _ssm(
        "new_re = clip(raw_re, low, high)", "new_re = raw_re"
    ),
    "SSM, saturating: imaginary part one above the limit": _ssm(
        "new_im = clip(raw_im, low, high)", "new_im = clip(raw_im, low, add(high, splat(1.0)))"
    ),
    "SSM, saturating: imaginary part one below the limit": _ssm(
        "new_im = clip(raw_im, low, high)",
        "new_im = clip(raw_im, add(low, splat(-1.0)), high)",
    ),
    "SSM, saturating: imaginary parts not counted": _ssm(
        "add(differs(raw_re, new_re), differs(raw_im, new_im))", "differs(raw_re, new_re)"
    ),
    "SSM, saturating: readout before saturation": _ssm(
        "floor(fnma(c_im, new_im, fma(c_re, new_re, half))), count",
        "floor(fnma(c_im, raw_im, fma(c_re, raw_re, half))), count",
    ),
    "SSM, saturating: readout rounded down": _ssm(
        "floor(fnma(c_im, new_im, fma(c_re, new_re, half))), count",
        "floor(fnma(c_im, new_im, fma(c_re, new_re, splat(0.0)))), count",
    ),
    "LayerNorm: deviations of 21 bits": _norm("_DEVIATION_BITS = 20", "_DEVIATION_BITS = 21"),
    "LayerNorm: deviations rounded down": _norm(
        "deviation = floor(add(fma(gain, load(x, c), shift), half))",
        "deviation = floor(fma(gain, load(x, c), shift))",
    ),
    "LayerNorm: deviations of the last channels rounded down": _norm(
        "np.floor((count * x[c] - sum_) * scale + 0.5)", "np.floor((count * x[c] - sum_) * scale)"
    ),
    "LayerNorm: the largest number, not the largest deviation": _norm(
        "max(count * most - sum_, sum_ - count * least)", "count * most - sum_"
    ),
    "LayerNorm: squares of whole vectors only": _norm(
        "power += out[c] * out[c]", "power += 0 * out[c]"
    ),
    "LayerNorm: eps not shifted": _norm("power += eps >> min(2 * right, 62)", "power += eps"),
    "LayerNorm: eps shifted half as far": _norm("eps >> min(2 * right, 62)", "eps >> right"),
    "LayerNorm: no eps": _norm("power += eps >> min(2 * right, 62)", "power += 0"),
    "LayerNorm: estimate off by one": _norm("139592", "139593 - 2**9"),
    "LayerNorm: slope of the estimate": _norm("79299", "79299 + 2**9"),
    "LayerNorm: two Newton steps": _norm("for _ in range(3):", "for _ in range(2):"),
    "LayerNorm: Newton's constant": _norm("(3 << 16) - error", "(3 << 16) - 1 - error"),
    "LayerNorm: square of the root": _norm("rshift(root * root, 16)", "(root * root >> 16)"),
    "LayerNorm: exponent rounded down": _norm(
        "(_bit_length(power) + 1) // 2", "_bit_length(power) // 2"
    ),
    "LayerNorm: root's shift": _norm("return root, p + 10", "return root, p + 11"),
    "LayerNorm: normalised rounded down": _norm(
        "normal = floor(fma(load(out, row + c), factor, half))",
        "normal = floor(mul(load(out, row + c), factor))",
    ),
    "LayerNorm: output not rounded": _norm(
        "floor(fma(load(p, c), normal, load(p, stride + c)))",
        "fma(load(p, c), normal, load(p, stride + c))",
    ),
}
"""In the kernels of 64-bit floats, packed products and totals."""

INTEGERS = {
    "rshift: rounded down": _exact("return (p + (_ONE << (k - 1))) >> k", "return p >> k"),
    "rshift: halves down": _exact(
        "(p + (_ONE << (k - 1))) >> k", "(p + (_ONE << (k - 1)) - 1) >> k"
    ),
    "rshift: halves away from 0": _exact(
        "return (p + (_ONE << (k - 1))) >> k",
        "return (p + (_ONE << (k - 1)) - (p < 0)) >> k",
    ),
    "rshift: not to the left": _exact("return p << -k", "return p"),
    "Affine: offset one more": _exact("shift[c]) + offset[c]", "shift[c]) + offset[c] + 1"),
    "Affine: no offset": _exact("shift[c]) + offset[c]", "shift[c])"),
    "Affine: shift of the first channel": _exact(
        "rshift(gain[c] * x[row + c], shift[c])", "rshift(gain[c] * x[row + c], shift[0])"
    ),
    "Spike: at the threshold too": _exact(
        "out[row + c] = x[row + c] > threshold[c]", "out[row + c] = x[row + c] >= threshold[c]"
    ),
    "Ternary: at the upper threshold too": _exact(
        "np.int64(x[row + c] > threshold[c])", "np.int64(x[row + c] >= threshold[c])"
    ),
    "Ternary: at the lower threshold too": _exact(
        "x[row + c] < -threshold[c]", "x[row + c] <= -threshold[c]"
    ),
    "Table: first segment left out": _exact(
        "min(max(offset >> width, 0), size - 1)", "min(max(offset >> width, 1), size - 1)"
    ),
    "Table: one segment too many": _exact(
        "min(max(offset >> width, 0), size - 1)", "min(max(offset >> width, 0), size)"
    ),
    "Table: last segment left out": _exact(
        "min(max(offset >> width, 0), size - 1)", "min(max(offset >> width, 0), size - 2)"
    ),
    "Table: rise from the origin": _exact("offset -= segment << width", "pass"),
    "Table: origin off by one": _exact(
        "offset = x[row + c] - origin", "offset = x[row + c] - origin - 1"
    ),
    "Table: base one more": _exact("= base[segment] + rshift(", "= base[segment] + 1 + rshift("),
    "Product: shift of the first channel": _exact(
        "rshift(x[row + c] * y[row + c], shift[c])", "rshift(x[row + c] * y[row + c], shift[0])"
    ),
    "Add: a difference": _exact(
        "out[row + c] = x[row + c] + y[row + c]", "out[row + c] = x[row + c] - y[row + c]"
    ),
    "SSM: upper limit one higher": _exact(
        "low, high = -(_ONE << (bits - 1)), (_ONE << (bits - 1)) - 1",
        "low, high = -(_ONE << (bits - 1)), (_ONE << (bits - 1))",
    ),
    "SSM: lower limit one higher": _exact(
        "low, high = -(_ONE << (bits - 1)), (_ONE << (bits - 1)) - 1",
        "low, high = 1 - (_ONE << (bits - 1)), (_ONE << (bits - 1)) - 1",
    ),
    "SSM: real part of no limit": _exact("min(max(re, low), high), min", "re, min"),
    "SSM: imaginary part of no upper limit": _exact("min(max(im, low), high)", "max(im, low)"),
    "SSM: clipped real parts not counted": _exact("clipped += s_re != re", "pass"),
    "SSM: clipped imaginary parts not counted": _exact("clipped += s_im != im", "pass"),
    "SSM: imaginary part from the new real part": _exact(
        "im = rshift(a_re * s_im + a_im * s_re, pole_shift)",
        "im = rshift(a_re * s_im + a_im * re, pole_shift)",
    ),
    "SSM: input after the rounding": _exact(
        "re = rshift(a_re * s_re - a_im * s_im + kick, pole_shift)",
        "re = rshift(a_re * s_re - a_im * s_im, pole_shift) + rshift(kick, pole_shift)",
    ),
    "SSM: input shifted one further": _exact("u << p[i + 3]", "u << (p[i + 3] + 1)"),
    "SSM: readout and record of the old states": _exact(
        "states[at], states[at + 1] = s_re, s_im\n",
        "s_re, states[at], s_im, states[at + 1] = states[at], s_re, states[at + 1], s_im\n",
    ),
    "SSM: readout of unclipped states": _exact(
        "p[i + 4] * s_re - p[i + 5] * s_im", "p[i + 4] * re - p[i + 5] * im"
    ),
    "SSM: readout of the sum of both parts": _exact(
        "p[i + 4] * s_re - p[i + 5] * s_im", "p[i + 4] * s_re + p[i + 5] * s_im"
    ),
    "SSM: direct path without its shift": _exact(
        "y = rshift(per_channel[3 * h + 1] * u, per_channel[3 * h + 2])",
        "y = per_channel[3 * h + 1] * u",
    ),
    "SSM: states recorded before saturation": _exact(
        "record[to], record[to + 1] = s_re, s_im", "record[to], record[to + 1] = re, im"
    ),
    "LayerNorm: sum of all but the last channel": _norm(
        "for c in range(channels):\n            whole += x[row + c]",
        "for c in range(channels - 1):\n            whole += x[row + c]",
    ),
    "LayerNorm: largest deviation without its sign": _norm(
        "max(reach, abs(channels * x[row + c] - whole))",
        "max(reach, channels * x[row + c] - whole)",
    ),
    "LayerNorm: deviations not shifted": _norm(
        "deviation = rshift(channels * x[row + c] - whole, right)",
        "deviation = channels * x[row + c] - whole",
    ),
    "LayerNorm: normalised rounded down": _norm(
        "normal = rshift(out[row + c] * root, to_normal)",
        "normal = out[row + c] * root >> to_normal",
    ),
    "LayerNorm: no offset": _norm(
        "rshift(gain[c] * normal, shift[c]) + offset[c]", "rshift(gain[c] * normal, shift[c])"
    ),
}
"""In the kernels of 64-bit integers."""

LOWERING = {
    "Input: floats beyond 2^53": _lower(
        "exact = not bounds.holds(op.out.interval)", "exact = False"
    ),
    "Affine: no half": _lower(
        "to.builder.add_columns(gain, op.offset + 0.5))\n    else:\n"
        "        fields = to.builder.add_ints(op.gain, op.shift, op.offset)\n"
        "        to.emit(op, kinds.X_AFFINE",
        "to.builder.add_columns(gain, op.offset + 0.0))\n    else:\n"
        "        fields = to.builder.add_ints(op.gain, op.shift, op.offset)\n"
        "        to.emit(op, kinds.X_AFFINE",
    ),
    "Affine after a Dense: halves down": _lower(
        "bias = affine.offset + 0.5", "bias = affine.offset + (0.5 - 2.0**-20)"
    ),
    "Affine after a Dense: no offset": _lower("bias = affine.offset + 0.5", "bias = 0.5"),
    "Affine after a Dense: one shift for all": _lower(
        "gain = np.ldexp(affine.gain.astype(np.float64), -affine.shift)",
        "gain = np.ldexp(affine.gain.astype(np.float64), -affine.shift[0])",
    ),
    "Dense: offset of the inputs not taken off": _lower(
        "bias = bias - gain * (packing.offset * op.weight.sum(axis=1))", "bias = bias - 0 * gain"
    ),
    "Dense: that somebody watches is fused": _lower(
        "or op.name in self.watched or len(readers) != 1", "or len(readers) != 1"
    ),
    "Dense: fused for one of two readers": _lower(
        "or op.name in self.watched or len(readers) != 1", "or op.name in self.watched"
    ),
    "Spike: threshold one lower": _lower(
        "fields = to.builder.add_columns(threshold)",
        "fields = to.builder.add_columns(threshold - 1)",
    ),
    "Spike: threshold one higher": _lower(
        "fields = to.builder.add_columns(threshold)",
        "fields = to.builder.add_columns(threshold + 1)",
    ),
    "Spike of integers: threshold one lower": _lower(
        "fields = to.builder.add_ints(op.threshold)",
        "fields = to.builder.add_ints(op.threshold - 1)",
    ),
    "Table: origin one lower": _lower(
        "left = (op.origin + (np.arange(op.base.size) << op.width)).astype(np.float64)",
        "left = (op.origin - 1 + (np.arange(op.base.size) << op.width)).astype(np.float64)",
    ),
    "Table: no half": _lower("op.base + 0.5 - slope * left", "op.base + 0.0 - slope * left"),
    "Table: segments begin one earlier": _lower(
        "-op.origin * 2.0**-op.width", "(1 - op.origin) * 2.0**-op.width"
    ),
    "Table: slope shifted one further": _lower("-op.slope_shift)", "-op.slope_shift - 1)"),
    "Product: shifted one further": _lower(
        "scale = np.ldexp(np.ones(op.out.channels), -op.shift)",
        "scale = np.ldexp(np.ones(op.out.channels), -op.shift - 1)",
    ),
    "Product: in floats though too large": _lower(
        "to.floats_hold(op) and bounds.product_is_exact(op, x, y)", "to.floats_hold(op)"
    ),
    "Add: in floats though too large": _lower("(reach < bounds.DOUBLE).all())", "True)"),
    "Embedding: one more": _lower(
        "FLOATS=to.builder.add_floats(op.weight))", "FLOATS=to.builder.add_floats(op.weight + 1))"
    ),
    "LayerNorm: no half": _lower(
        "fields = to.builder.add_columns(gain, op.offset + 0.5)",
        "fields = to.builder.add_columns(gain, op.offset)",
    ),
    "LayerNorm: no eps": _lower("FLOATS=fields, EPS=op.eps", "FLOATS=fields, EPS=0"),
    "LayerNorm of integers: eps one less": _lower(
        "exact=True, INTS=fields, EPS=op.eps", "exact=True, INTS=fields, EPS=max(op.eps - 1, 0)"
    ),
    "SSM: input shifted one further": _lower(
        "np.exp2(op.input_shift.astype(np.float64))",
        "np.exp2(op.input_shift.astype(np.float64) + 1)",
    ),
    "SSM: real poles": _lower(
        "np.ldexp(op.a_im.astype(np.float64), -op.pole_shift)",
        "0 * np.ldexp(op.a_im.astype(np.float64), -op.pole_shift)",
    ),
    "SSM: one readout shift for all": _lower(
        "np.ldexp(op.c_im.astype(np.float64), -op.readout_shift[:, None])",
        "np.ldexp(op.c_im.astype(np.float64), -op.readout_shift[0])",
    ),
    "SSM: direct path shifted one further": _lower("-op.d_shift)", "-op.d_shift - 1)"),
    "SSM: states taken for proved": _lower(
        "STATE_BITS=0 if op.states_proved(u) else op.state_bits", "STATE_BITS=0"
    ),
    "SSM: states one bit wider": _lower(
        "STATE_BITS=0 if op.states_proved(u) else op.state_bits",
        "STATE_BITS=0 if op.states_proved(u) else op.state_bits + 1",
    ),
    "SSM of integers: input shift of the next field": _lower(
        "kick = op.pole_shift + op.input_shift", "kick = op.pole_shift"
    ),
    "saturation: one bit more": _lower('{"BITS": op.out.bits,', '{"BITS": op.out.bits + 1,'),
    "saturation: none": _lower('{"BITS": op.out.bits,', '{"BITS": 0,'),
    "memory: inputs released before their last reader": _lower(
        "if tensor is not None and self.readers[name] == 0 and", "if tensor is not None and"
    ),
    "memory: recorded tensors released": _lower(
        "self.readers[name] == 0 and name not in self.record:", "self.readers[name] == 0:"
    ),
    "memory: states of two operations in one place": Edit(
        "engine/tape.py",
        "self.state_words += padded(words)\n        return self.state_words - padded(words)",
        "self.state_words = max(self.state_words, padded(words))\n        return 0",
    ),
    "memory: two tensors in one place": Edit(
        "engine/tape.py",
        "self.work_words += words\n",
        "self.work_words = max(self.work_words, words)\n",
    ),
    "counts: two tensors in one place": Edit(
        "engine/tape.py", "return self.names.index(name)", "return 0"
    ),
    "states kept from sample to sample": Edit(
        "engine/fast.py", "        worker.reset()\n", "        pass\n"
    ),
    "sums of one group only": Edit(
        "engine/fast.py",
        "sums[first : first + len(x)] = worker.total(key)",
        "sums[:] = worker.total(key)[:1]",
    ),
    "session: reset keeps the states": Edit(
        "engine/session.py", "        self._worker.reset()\n", "        pass\n"
    ),
    "session: reset keeps the counts": Edit(
        "engine/session.py", "        self._counts[:] = 0\n", "        pass\n"
    ),
    "session: one step more in the mean": Edit(
        "engine/session.py", "self.steps += data.shape[1]", "self.steps += data.shape[1] + 1"
    ),
    "2^54 for 2^53": _bounds("DOUBLE = 1 << 53", "DOUBLE = 1 << 54"),
    "2^25 for 2^24": _bounds("SINGLE = 1 << 24", "SINGLE = 1 << 25"),
    "the offset left out of a bound": _bounds(
        "reach = scaled + ((2 * offset + 1) << (right - 1))", "reach = scaled + (1 << (right - 1))"
    ),
    "shifts to the left left out of a bound": _bounds(
        "scaled = product << (right - shift)", "scaled = product"
    ),
    "a table's reach without its origin": _bounds("(reach + abs(left))", "(0 * reach + abs(left))"),
    "LayerNorm's deviations without their factor": _bounds(
        "deviation = 4 * len(op.gain) * int(exact(x.largest()).max())",
        "deviation = int(exact(x.largest()).max())",
    ),
    "LayerNorm's gain not bounded": _bounds(
        "deviation < DOUBLE and rounds_exactly(", "deviation < DOUBLE or rounds_exactly("
    ),
    "an SSM's recurrence not bounded": _bounds("largest = max(", "largest = 0 * max("),
    "an SSM's input not bounded": _bounds(
        "(a_re * s_re + a_im * s_im + kick + half)", "(a_re * s_re + a_im * s_im + half)"
    ),
    "an SSM's readout not bounded": _bounds(
        "readout = exact(op.c_re) * s_re + exact(op.c_im) * s_im",
        "readout = 0 * exact(op.c_re) * s_re",
    ),
    "an SSM's sum not bounded": _bounds("bool((2 * total < DOUBLE).all())", "True"),
    "bytes of 257 values": Edit("engine", "shifted < 256 and", "shifted < 257 and"),
    "bytes for weights of 9 bits": Edit("engine", "_within(weight, 8)", "_within(weight, 9)"),
    "offset one less": Edit(
        "engine", "offset = max(0, -int(x.low.min()))", "offset = max(0, -int(x.low.min()) - 1)"
    ),
    "shorts for inputs of 17 bits": Edit(
        "engine",
        "_within(x.low, 16)\n        and _within(x.high, 16)",
        "_within(x.low, 17)\n        and _within(x.high, 17)",
    ),
    "shorts for weights of 17 bits": Edit(
        "engine", "and _within(weight, 16)", "and _within(weight, 17)"
    ),
    "shorts whose sums wrap": Edit("engine", "and reach < 1 << 31\n", "and reach < 1 << 33\n"),
}
"""In what is decided before the kernels run: constants, memory, and which numbers hold a result."""


def _program(name: str, old: str, new: str) -> Edit:
    return Edit(f"program/{name}.py", old, new)


REFERENCE = {
    "rshift: rounded down": _program(
        "arithmetic", "np.where(k > 0, np.int64(1) << np.maximum(right - 1, 0), 0)", "0"
    ),
    "rshift: halves down": _program(
        "arithmetic", "np.maximum(right - 1, 0), 0)", "np.maximum(right - 1, 0), 0) - (k > 0)"
    ),
    "rshift: not to the left": _program("arithmetic", " << np.maximum(-k, 0)", ""),
    "saturation: upper limit one lower": _program(
        "arithmetic", "np.clip(value, low, high)", "np.clip(value, low, high - 1)"
    ),
    "saturation: upper limit one higher": _program(
        "arithmetic", "np.clip(value, low, high)", "np.clip(value, low, high + 1)"
    ),
    "saturation: symmetric limits": _program(
        "arithmetic", "np.clip(value, low, high)", "np.clip(value, low + 1, high)"
    ),
    "saturation: counted by vector": _program(
        "arithmetic", "tally[name] += count", "tally[name] += 1"
    ),
    "Input: rounded down": _program("source", "floor + (scaled - floor >= 0.5)", "floor"),
    "Input: halves down": _program("source", "scaled - floor >= 0.5", "scaled - floor > 0.5"),
    "Dense: weights transposed in part": _program(
        "dense", "x @ self.weight.T", "x @ self.weight.T + self.weight[0, 0]"
    ),
    "Embedding: next row": _program(
        "dense", "self.weight[token[:, 0]]", "self.weight[token[:, 0] - 1]"
    ),
    "Affine: offset one more": _program(
        "affine", "self.shift) + self.offset", "self.shift) + self.offset + 1"
    ),
    "SSM: imaginary part from the new real part": _program(
        "ssm", "self.a_im * s_re, self.pole_shift", "self.a_im * re, self.pole_shift"
    ),
    "SSM: input after the rounding": _program(
        "ssm",
        "re = rshift(self.a_re * s_re - self.a_im * s_im + kick, self.pole_shift)",
        "re = rshift(self.a_re * s_re - self.a_im * s_im, self.pole_shift)\n"
        "        re = re + rshift(kick, self.pole_shift)",
    ),
    "SSM: modes rounded together": _program(
        "ssm",
        "readout.sum(axis=2)",
        "rshift((self.c_re * s_re - self.c_im * s_im).sum(axis=2), self.readout_shift)",
    ),
    "SSM: direct path rounded down": _program(
        "ssm",
        "rshift(self.d * u, self.d_shift)\n",
        "rshift(self.d * u * 2 - 1, self.d_shift + 1)\n",
    ),
    "Spike: at the threshold too": _program(
        "spike",
        "(x > self.threshold).astype(np.int64)\n\n    def bounds",
        "(x >= self.threshold).astype(np.int64)\n\n    def bounds",
    ),
    "Ternary: at the lower threshold too": _program(
        "spike", "(x < -self.threshold)", "(x <= -self.threshold)"
    ),
    "Table: last segment left out": _program(
        "table", "0, self.base.size - 1)", "0, max(self.base.size - 2, 0))"
    ),
    "Table: rise not beyond the ends": _program(
        "table",
        "(segment << self.width)\n",
        "(segment << self.width)\n        offset = np.clip(offset, 0, 1 << self.width)\n",
    ),
    "Product: shifted one further": _program(
        "elementwise",
        "rshift(x * y, self.shift), self.out.bits",
        "rshift(x * y, self.shift + 1), self.out.bits",
    ),
    "Add: one too many": _program(
        "elementwise", "saturate(x + y, self", "saturate(x + y + 1, self"
    ),
    "LayerNorm: deviations of 21 bits": _program(
        "layernorm", "DEVIATION_BITS = 20", "DEVIATION_BITS = 21"
    ),
    "LayerNorm: two Newton steps": _program("layernorm", "NEWTON_STEPS = 3", "NEWTON_STEPS = 2"),
    "LayerNorm: estimate": _program("layernorm", "(139592, 79299)", "(139592 - 2**9, 79299)"),
    "LayerNorm: no eps": _program("layernorm", "+ (self.eps >> np.minimum(2 * right, 62))", "+ 0"),
    "LayerNorm: normalised one bit less": _program(
        "layernorm", "exponent + 30 - NORMAL_EXPONENT", "exponent + 31 - NORMAL_EXPONENT"
    ),
    "Readout: rounded down": _program("readout", "(2 * z + (steps << self.shift))", "(2 * z)"),
    "Readout: halves down": _program(
        "readout", "(2 * z + (steps << self.shift))", "(2 * z + (steps << self.shift) - 1)"
    ),
    "Readout: towards 0": _program(
        "readout",
        "logits = (2 * z + (steps << self.shift)) // (steps << (self.shift + 1))",
        "logits = np.fix((2 * z + (steps << self.shift)) / (steps << (self.shift + 1)))\n"
        "        logits = logits.astype(np.int64)",
    ),
    "Readout: bias once": _program("readout", "self.bias * steps", "self.bias"),
}
"""In the definition itself; only the golden vectors and the naive interpreter can tell."""
