"""Altered engines: each edit below breaks one thing by one unit, one place or one comparison.

What equations say is altered by `equations`. Here are the kernels written by hand, the printers of
the others, what is decided before they run, and what all operations share. The text to replace must
occur exactly once in its file, so that the table cannot rot in silence.

What is checked twice in the package has no edit here, as one check alone changes no integer: that
what reads floats is given floats (what is kept as integers is beyond 2^53, where no kernel is
exact), that input beyond 2^53 is loaded as integers (it was made of floats, which hold it), that
only integers go under a floor (fractions come from shifts, which round), and that an operand of
parameters alone is not rounded (it is a parameter itself).
"""

from __future__ import annotations

from sandbox import Edit

HAND = {
    "Input: a step too early": Edit(
        "engine/cpu/kernels/rows.py", "data[sample, start + t, c]", "data[sample, t, c]"
    ),
    "saturation: upper limit one higher": Edit(
        "engine/cpu/kernels/rows.py", "min(max(value, low), high)", "min(max(value, low), high + 1)"
    ),
    "saturation: upper limit one lower": Edit(
        "engine/cpu/kernels/rows.py", "min(max(value, low), high)", "min(max(value, low), high - 1)"
    ),
    "saturation: lower limit one lower": Edit(
        "engine/cpu/kernels/rows.py", "min(max(value, low), high)", "min(max(value, low - 1), high)"
    ),
    "saturation: lower limit one higher": Edit(
        "engine/cpu/kernels/rows.py", "min(max(value, low), high)", "min(max(value, low + 1), high)"
    ),
    "saturation: only the upper side counted": Edit(
        "engine/cpu/kernels/rows.py", "count += clipped != value", "count += clipped < value"
    ),
    "saturation: last channel left out": Edit(
        "engine/cpu/kernels/rows.py",
        (
            "part = x[row : row + channels]\n"
            "        for c in range(channels):\n"
            "            value = part[c]"
        ),
        (
            "part = x[row : row + channels]\n"
            "        for c in range(channels - 1):\n"
            "            value = part[c]"
        ),
    ),
    "saturation: symmetric limits": Edit(
        "engine/cpu/kernels/machine.py",
        "return -(1 << (bits - 1)), (1 << (bits - 1)) - 1",
        "return 1 - (1 << (bits - 1)), (1 << (bits - 1)) - 1",
    ),
    "saturation: one bit more": Edit(
        "engine/cpu/kernels/machine.py",
        "return -(1 << (bits - 1)), (1 << (bits - 1)) - 1",
        "return -(1 << bits), (1 << bits) - 1",
    ),
    "saturation: only the last chunk counted": Edit(
        "engine/cpu/kernels/machine.py", "tally[op[c.TALLY]] += count", "tally[op[c.TALLY]] = count"
    ),
    "Readout: only the last step": Edit(
        "engine/cpu/kernels/rows.py", "sums[c] += np.int64(part[c])", "sums[c] = part[c]"
    ),
    "Readout: sample by sample in one place": Edit(
        "engine/cpu/kernels/rows.py",
        "sums = total[sample * room : sample * room + channels]",
        "sums = total[:channels]",
    ),
    "counts: the positive only": Edit(
        "engine/cpu/kernels/rows.py", "counts[c] += part[c] != 0", "counts[c] += part[c] > 0"
    ),
    "Embedding: next row": Edit(
        "engine/cpu/kernels/mix.py",
        "first = np.int64(tokens[row * in_stride]) * outputs",
        "first = (np.int64(tokens[row * in_stride]) + 1) * outputs % w.size",
    ),
    "Dense: odd rows of half a panel": Edit(
        "engine/cpu/kernels/mix.py",
        "floor(fma(gain, upper_half(sums), bias))",
        "floor(fma(gain, lower_half(sums), bias))",
    ),
    "Dense: bias of another column": Edit(
        "engine/cpu/kernels/mix.py",
        (
            "gain, bias = load(p, column), load(p, stride + column)\n"
            "    store(out, at + column, floor(fma(gain, lower_half(sums), bias)))"
        ),
        (
            "gain, bias = load(p, column), load(p, column + column % 2 + stride + LANES)\n"
            "    store(out, at + column, floor(fma(gain, lower_half(sums), bias)))"
        ),
    ),
    "Dense: no offset of bytes": Edit(
        "engine/cpu/kernels/mix.py", "offset = splat(p[2 * stride])", "offset = splat(0.0)"
    ),
    "Dense: last group of inputs left out": Edit(
        "engine/cpu/kernels/mix.py",
        "groups = (inputs + step - 1) // step",
        "groups = inputs // step",
    ),
    "Dense: tiles of rows mixed up": Edit(
        "engine/cpu/kernels/mix.py",
        "s50, s51 = dot(a, i, w0, j, s50), dot(a, i, w1, j, s51)",
        "s50, s51 = dot(a, i, w0, j, s50), dot(a, i, w0, j, s51)",
    ),
    "Dense: last rows left out": Edit(
        "engine/cpu/kernels/mix.py",
        "for row in range(first, rows):",
        "for row in range(first, rows - rows % 8):",
    ),
    "Dense: an odd panel left out": Edit(
        "engine/cpu/kernels/mix.py",
        "first = 0 if panel == panels - 1 and panels % 2 == 1 else tiled",
        "first = tiled",
    ),
    "Dense in single numbers: a sum begun at 1": Edit(
        "engine/cpu/kernels/mix.py", "to[:] = 0", "to[:] = 1"
    ),
    "Dense in single numbers: negative inputs left out": Edit(
        "engine/cpu/kernels/mix.py", "if value != 0:", "if value > 0:"
    ),
    "SSM: real part rounded down": Edit(
        "engine/cpu/kernels/ssm.py",
        "new_re = floor(fnma(a_im, im, fma(a_re, re, fma(u, gain, half))))",
        "new_re = floor(fnma(a_im, im, fma(a_re, re, fma(u, gain, splat(0.0)))))",
    ),
    "SSM: imaginary part rounded down": Edit(
        "engine/cpu/kernels/ssm.py",
        ("new_im = floor(fma(a_im, re, fma(a_re, im, half)))\n    return new_re"),
        ("new_im = floor(fma(a_im, re, fma(a_re, im, splat(0.0))))\n    return new_re"),
    ),
    "SSM: imaginary part from the new real part": Edit(
        "engine/cpu/kernels/ssm.py",
        ("new_im = floor(fma(a_im, re, fma(a_re, im, half)))\n    return new_re"),
        ("new_im = floor(fma(a_im, new_re, fma(a_re, im, half)))\n    return new_re"),
    ),
    "SSM: conjugate poles": Edit(
        "engine/cpu/kernels/ssm.py",
        "new_re = floor(fnma(a_im, im, fma(a_re, re, fma(u, gain, half))))",
        "new_re = floor(fma(a_im, im, fma(a_re, re, fma(u, gain, half))))",
    ),
    "SSM: readout of the old states": Edit(
        "engine/cpu/kernels/ssm.py",
        "return new_re, new_im, floor(fnma(c_im, new_im, fma(c_re, new_re, half)))\n",
        "return new_re, new_im, floor(fnma(c_im, im, fma(c_re, re, half)))\n",
    ),
    "SSM: readout of the imaginary part added": Edit(
        "engine/cpu/kernels/ssm.py",
        "return new_re, new_im, floor(fnma(c_im, new_im, fma(c_re, new_re, half)))\n",
        "return new_re, new_im, floor(fma(c_im, new_im, fma(c_re, new_re, half)))\n",
    ),
    "SSM: modes rounded together": Edit(
        "engine/cpu/kernels/ssm.py",
        "return new_re, new_im, floor(fnma(c_im, new_im, fma(c_re, new_re, half)))\n",
        "return new_re, new_im, fnma(c_im, new_im, fma(c_re, new_re, half))\n",
    ),
    "SSM: one of four modes left out": Edit(
        "engine/cpu/kernels/ssm.py", "add(add(y0, y1), add(y2, y3))", "add(add(y0, y1), y2)"
    ),
    "SSM: a state lost between chunks": Edit(
        "engine/cpu/kernels/ssm.py", "store(state, j + _S + LANES, im1)", "pass"
    ),
    "SSM: direct path rounded down": Edit(
        "engine/cpu/kernels/ssm.py",
        "store(y, t * LANES, floor(fma(d, v, half)))",
        "store(y, t * LANES, floor(fma(d, v, splat(0.0))))",
    ),
    "SSM: second block of channels left out": Edit(
        "engine/cpu/kernels/ssm.py",
        "for block in range((channels + LANES - 1) // LANES):",
        "for block in range(max(1, channels // LANES)):",
    ),
    "SSM, saturating: real part of no limit": Edit(
        "engine/cpu/kernels/ssm.py", "new_re = clip(raw_re, low, high)", "new_re = raw_re"
    ),
    "SSM, saturating: imaginary part one above the limit": Edit(
        "engine/cpu/kernels/ssm.py",
        "new_im = clip(raw_im, low, high)",
        "new_im = clip(raw_im, low, add(high, splat(1.0)))",
    ),
    "SSM, saturating: imaginary part one below the limit": Edit(
        "engine/cpu/kernels/ssm.py",
        "new_im = clip(raw_im, low, high)",
        "new_im = clip(raw_im, add(low, splat(-1.0)), high)",
    ),
    "SSM, saturating: imaginary parts not counted": Edit(
        "engine/cpu/kernels/ssm.py",
        "add(differs(raw_re, new_re), differs(raw_im, new_im))",
        "differs(raw_re, new_re)",
    ),
    "SSM, saturating: readout before saturation": Edit(
        "engine/cpu/kernels/ssm.py",
        "floor(fnma(c_im, new_im, fma(c_re, new_re, half))), count",
        "floor(fnma(c_im, raw_im, fma(c_re, raw_re, half))), count",
    ),
    "SSM, saturating: readout rounded down": Edit(
        "engine/cpu/kernels/ssm.py",
        "floor(fnma(c_im, new_im, fma(c_re, new_re, half))), count",
        "floor(fnma(c_im, new_im, fma(c_re, new_re, splat(0.0)))), count",
    ),
    "LayerNorm: deviations of 21 bits": Edit(
        "engine/cpu/kernels/layernorm.py", "_DEVIATION_BITS = 20", "_DEVIATION_BITS = 21"
    ),
    "LayerNorm: deviations rounded down": Edit(
        "engine/cpu/kernels/layernorm.py",
        "deviation = floor(add(fma(gain, load(x, c), shift), half))",
        "deviation = floor(fma(gain, load(x, c), shift))",
    ),
    "LayerNorm: deviations of the last channels rounded down": Edit(
        "engine/cpu/kernels/layernorm.py",
        "np.floor((count * x[c] - sum_) * scale + 0.5)",
        "np.floor((count * x[c] - sum_) * scale)",
    ),
    "LayerNorm: the largest number, not the largest deviation": Edit(
        "engine/cpu/kernels/layernorm.py",
        "max(count * most - sum_, sum_ - count * least)",
        "count * most - sum_",
    ),
    "LayerNorm: squares of whole vectors only": Edit(
        "engine/cpu/kernels/layernorm.py", "power += out[c] * out[c]", "power += 0 * out[c]"
    ),
    "LayerNorm: eps not shifted": Edit(
        "engine/cpu/kernels/layernorm.py", "power += eps >> min(2 * right, 62)", "power += eps"
    ),
    "LayerNorm: eps shifted half as far": Edit(
        "engine/cpu/kernels/layernorm.py", "eps >> min(2 * right, 62)", "eps >> right"
    ),
    "LayerNorm: no eps": Edit(
        "engine/cpu/kernels/layernorm.py", "power += eps >> min(2 * right, 62)", "power += 0"
    ),
    "LayerNorm: estimate off by one": Edit(
        "engine/cpu/kernels/layernorm.py", "139592", "139593 - 2**9"
    ),
    "LayerNorm: slope of the estimate": Edit(
        "engine/cpu/kernels/layernorm.py", "79299", "79299 + 2**9"
    ),
    "LayerNorm: two Newton steps": Edit(
        "engine/cpu/kernels/layernorm.py", "for _ in range(3):", "for _ in range(2):"
    ),
    "LayerNorm: Newton's constant": Edit(
        "engine/cpu/kernels/layernorm.py", "(3 << 16) - error", "(3 << 16) - 1 - error"
    ),
    "LayerNorm: square of the root": Edit(
        "engine/cpu/kernels/layernorm.py", "rshift(root * root, 16)", "(root * root >> 16)"
    ),
    "LayerNorm: root's shift": Edit(
        "engine/cpu/kernels/layernorm.py", "return root, p + 10", "return root, p + 11"
    ),
    "LayerNorm: normalised rounded down": Edit(
        "engine/cpu/kernels/layernorm.py",
        "normal = floor(fma(load(out, row + c), factor, half))",
        "normal = floor(mul(load(out, row + c), factor))",
    ),
    "LayerNorm: output not rounded": Edit(
        "engine/cpu/kernels/layernorm.py",
        "floor(fma(load(p, c), normal, load(p, stride + c)))",
        "fma(load(p, c), normal, load(p, stride + c))",
    ),
    "rshift: rounded down": Edit(
        "engine/cpu/kernels/integers.py", "return (p + (_ONE << (k - 1))) >> k", "return p >> k"
    ),
    "rshift: halves down": Edit(
        "engine/cpu/kernels/integers.py",
        "(p + (_ONE << (k - 1))) >> k",
        "(p + (_ONE << (k - 1)) - 1) >> k",
    ),
    "rshift: halves away from 0": Edit(
        "engine/cpu/kernels/integers.py",
        "return (p + (_ONE << (k - 1))) >> k",
        "return (p + (_ONE << (k - 1)) - (p < 0)) >> k",
    ),
    "rshift: not to the left": Edit("engine/cpu/kernels/integers.py", "return p << -k", "return p"),
    "LayerNorm: exponent rounded down": Edit(
        "engine/cpu/kernels/layernorm.py", "(bit_length(power) + 1) // 2", "bit_length(power) // 2"
    ),
    "saturation: integers taken for floats": Edit(
        "engine/cpu/kernels/machine.py",
        "op[c.KIND] >= k.FIRST_DERIVED and op[c.KIND] % 2 == 1",
        "False",
    ),
    "saturation: floats taken for integers": Edit(
        "engine/cpu/kernels/machine.py",
        "op[c.KIND] >= k.FIRST_DERIVED and op[c.KIND] % 2 == 1",
        "op[c.KIND] >= k.FIRST_DERIVED",
    ),
    "clipped states of derived kernels not counted": Edit(
        "engine/cpu/kernels/machine.py", "tally[op[c.STATE_TALLY]] += clipped", "pass"
    ),
    "second input is the first": Edit(
        "engine/cpu/kernels/machine.py", "work[0][b:],", "work[0][a:],"
    ),
    "second input of integers is the first": Edit(
        "engine/cpu/kernels/machine.py", "work[1][b:],", "work[1][a:],"
    ),
    "bit_length: one more": Edit("engine/cpu/kernels/integers.py", "bits = 0\n", "bits = 1\n"),
}
"""In kernels written by hand, and in the loop over instructions."""

PRINTERS = {
    "integers: a sum begun at 1": Edit("derive/integers.py", "else '0'}", "else '1'}"),
    "integers: the largest begun at 0": Edit("derive/integers.py", "'-(1 << 62)'", "'(1 << 20)'"),
    "integers: nothing taken into a reduction": Edit(
        "derive/layout.py",
        'yield Loop("channel", body)',
        'yield Loop("channel", body[:-1])',
    ),
    "integers: modes summed twice": Edit(
        "derive/layout.py",
        "body += [Gather(number, self.code.instructions[number].args[0]) for number in sums]",
        "body += 2 * [Gather(number, self.code.instructions[number].args[0]) for number in sums]",
    ),
    "integers: the first mode left out": Edit(
        "derive/integers.py",
        'yield "for n in range(modes):" if',
        'yield "for n in range(1, modes):" if',
    ),
    "integers: clipped states not counted": Edit(
        "derive/integers.py",
        'yield f"clipped += v{number} != ',
        'yield f"clipped += 0 * v{number} != ',
    ),
    "integers: parameters of the next channel": Edit(
        "derive/integers.py",
        '"channel": " + c", "mode"',
        '"channel": " + (c + 1) % channels", "mode"',
    ),
    "integers: parameters of the first mode": Edit(
        "derive/integers.py", '"mode": " + c * modes + n"', '"mode": " + c * modes"'
    ),
    "integers: tables from their second entry": Edit(
        "derive/integers.py",
        'text = f"p[o{table} + {args[1]}]"',
        'text = f"p[o{table} + {args[1]} + 1]"',
    ),
    "integers: states of the first mode": Edit(
        "derive/integers.py",
        ('place = "c * modes + n" if item.axis == "mode" else "c"\n            index'),
        ('place = "c * modes" if item.axis == "mode" else "c"\n            index'),
    ),
    "integers: states of the first channel": Edit(
        "derive/integers.py",
        ('place = "c * modes + n" if item.axis == "mode" else "c"\n            index'),
        ('place = "c * modes + n" if item.axis == "mode" else "0"\n            index'),
    ),
    "integers: states in one place": Edit(
        "derive/integers.py",
        'yield f"at = sample * state_stride + ({place}) * {count} + {index}"',
        'yield f"at = sample * state_stride + ({place}) * {count}"',
    ),
    "integers: states of all samples in one place": Edit(
        "derive/integers.py", 'yield f"at = sample * state_stride + (', 'yield f"at = ('
    ),
    "integers: states recorded at the first step": Edit(
        "derive/integers.py",
        "at = (sample * steps + t) * room + (",
        "at = sample * steps * room + (",
    ),
    "integers: old states recorded": Edit(
        "derive/integers.py",
        'yield f"    record[at] = {value}"',
        'yield f"    record[at] = {value} - 1"',
    ),
    "integers: rows of the first step": Edit(
        "derive/integers.py",
        ('row = (sample * steps + t) * stride"\n        for node in'),
        ('row = sample * steps * stride"\n        for node in'),
    ),
    "integers: symmetric limits": Edit(
        "derive/integers.py", '-{limit}), {limit} - 1)"', '1 - {limit}), {limit} - 1)"'
    ),
    "integers: greater or equal": Edit(
        "derive/integers.py", "int64({0} > {1})", "int64({0} >= {1})"
    ),
    "integers: choices swapped": Edit(
        "derive/integers.py", "({1}) if {0} != 0 else ({2})", "({2}) if {0} != 0 else ({1})"
    ),
    "integers: shifts up instead of down": Edit(
        "derive/integers.py", '"rshift": "rshift({0}, {1})"', '"rshift": "({0} >> {1})"'
    ),
    "integers: differences swapped": Edit(
        "derive/integers.py", '"sub": "{0} - {1}"', '"sub": "{1} - {0}"'
    ),
    "forms: no half": Edit(
        "derive/forms.py",
        'HALF = Coefficient("shared", lambda op: Dyadic(exact(1), exact(1)))',
        'HALF = Coefficient("shared", lambda op: Dyadic(exact(0), exact(1)))',
    ),
    "forms: a quarter for a half": Edit(
        "derive/forms.py", "Dyadic(exact(1), exact(1)))", "Dyadic(exact(1), exact(2)))"
    ),
    "forms: floors rounded to nearest": Edit(
        "derive/forms.py", 'HALF if kind == "rshift" else constant(0)', "HALF"
    ),
    "forms: differences taken for sums": Edit("derive/forms.py", '1 if kind == "add" else -1', "1"),
    "forms: a floor dropped in a product": Edit(
        "derive/forms.py", "(_of(self.variable(arg)) if form.floored else form).times", "form.times"
    ),
    "forms: a floor dropped in a shift": Edit(
        "derive/forms.py",
        ("        if p.floored:\n            p = _of(self.variable(args[0]))\n"),
        "",
    ),
    "forms: a floor dropped in a difference": Edit(
        "derive/forms.py", "second.floored and (sign < 0 or", "second.floored and (sign > 1 or"
    ),
    "forms: constants not scaled": Edit(
        "derive/forms.py",
        "self.constant if self.constant.unit == 0 else self.constant.scaled(k)",
        "self.constant",
    ),
    "forms: constants not multiplied": Edit(
        "derive/forms.py", "Form(terms, self.constant.times(factor))", "Form(terms, self.constant)"
    ),
    "forms: floors joined": Edit(
        "derive/forms.py",
        "return replace(scaled.plus(Form((), half)), floored=True)",
        "return scaled.plus(Form((), half))",
    ),
    "forms: a variable's coefficient lost": Edit(
        "derive/forms.py",
        "coefficient if known is None else known.plus(coefficient)",
        "coefficient",
    ),
    "forms: tables by the first variable": Edit(
        "derive/forms.py", "replace(table, index=self.variable(args[1]))", "replace(table, index=0)"
    ),
    "floats: not rounded": Edit(
        "derive/floats.py",
        'return f"v{number} = floor({text})" if variable.form.floored else',
        "return",
    ),
    "floats: limits of one bit more": Edit(
        "derive/floats.py",
        "half = 1 << (int(bits.of(op).mantissa) - 1)",
        "half = 1 << int(bits.of(op).mantissa)",
    ),
    "floats: symmetric limits": Edit(
        "derive/floats.py",
        "Dyadic.of(-half if sign < 0 else half - 1)",
        "Dyadic.of(sign * (half - 1))",
    ),
    "floats: clipped states not counted": Edit(
        "derive/floats.py", "count = fma(valid, differs(", "count = fma(splat(0.0), differs("
    ),
    "floats: clipped columns beyond the channels counted": Edit(
        "derive/floats.py",
        'yield "valid = lanes_below(channels - c)"',
        'yield "valid = splat(1.0)"',
    ),
    "floats: states of all samples in one place": Edit(
        "derive/floats.py", 'at = sample * state_stride + c"', 'at = c"'
    ),
    "floats: states not kept": Edit(
        "derive/floats.py", 'yield f"    state_{name} = v{number}"', 'yield "    pass"'
    ),
    "floats: states not kept between chunks": Edit(
        "derive/floats.py",
        'yield f"store(states, at + {index} * stride, state_{name})"',
        'yield "pass"',
    ),
    "floats: rows of the first step": Edit(
        "derive/floats.py", 'row = (sample * steps + t) * stride"', 'row = sample * steps * stride"'
    ),
    "floats: parameters of the first channels": Edit(
        "derive/floats.py", 'return f"load(p, o{slot} + c)"', 'return f"load(p, o{slot})"'
    ),
    "floats: tables from their second entry": Edit(
        "derive/floats.py", 't{slot} = p[o{slot}:]"', 't{slot} = p[o{slot} + 1:]"'
    ),
    "floats: minimum for maximum": Edit(
        "derive/floats.py",
        '"minimum": "lesser", "maximum": "greater"',
        '"minimum": "greater", "maximum": "lesser"',
    ),
    "floats: second input for the first": Edit(
        "derive/floats.py", "'xy'[variable.value]", "'yx'[variable.value]"
    ),
    "exactness: values beyond 2^53": Edit(
        "derive/floats.py", "bool((own < DOUBLE).all()) and all(", "all("
    ),
    "exactness: sums of a form not checked": Edit(
        "derive/floats.py", "return bool(np.all(total < DOUBLE))", "return True"
    ),
    "exactness: the constant left out": Edit(
        "derive/floats.py",
        "terms: list[Dyadic] = [form.constant.of(op)]",
        "terms: list[Dyadic] = [Dyadic.of(0 * form.constant.of(op).mantissa)]",
    ),
    "exactness: units of the last term": Edit(
        "derive/floats.py", "finest = np.maximum(finest, term.exponent)", "finest = term.exponent"
    ),
    "exactness: the largest term only": Edit(
        "derive/floats.py",
        "total = total + abs(term.in_units(finest))",
        "total = np.maximum(total, abs(term.in_units(finest)))",
    ),
    "exactness: 2^54 for 2^53": Edit("derive/floats.py", "DOUBLE = 1 << 53", "DOUBLE = 1 << 54"),
}
"""In what prints kernels from equations, and proves that floats are exact."""

LOWERING = {
    "Affine after a Dense: halves down": Edit(
        "engine/cpu/planner.py",
        "bias = affine.offset + 0.5",
        "bias = affine.offset + (0.5 - 2.0**-20)",
    ),
    "Affine after a Dense: no offset": Edit(
        "engine/cpu/planner.py", "bias = affine.offset + 0.5", "bias = 0.5"
    ),
    "Affine after a Dense: one shift for all": Edit(
        "engine/cpu/planner.py",
        "gain = np.ldexp(affine.gain.astype(np.float64), -affine.shift)",
        "gain = np.ldexp(affine.gain.astype(np.float64), -affine.shift[0])",
    ),
    "Dense: offset of the inputs not taken off": Edit(
        "engine/cpu/planner.py",
        "bias = bias - gain * (packing.offset * op.weight.sum(axis=1))",
        "bias = bias - 0 * gain",
    ),
    "Dense: that somebody watches is fused": Edit(
        "engine/cpu/lowering.py",
        "or op.name in self.watched or len(readers) != 1",
        "or len(readers) != 1",
    ),
    "Dense: fused for one of two readers": Edit(
        "engine/cpu/lowering.py",
        "or op.name in self.watched or len(readers) != 1",
        "or op.name in self.watched",
    ),
    "LayerNorm: no half": Edit(
        "engine/cpu/planner.py",
        "fields = to.builder.add_columns(gain, op.offset + 0.5)",
        "fields = to.builder.add_columns(gain, op.offset)",
    ),
    "SSM: input shifted one further": Edit(
        "engine/cpu/planner.py",
        "np.exp2(op.input_shift.astype(np.float64))",
        "np.exp2(op.input_shift.astype(np.float64) + 1)",
    ),
    "SSM: real poles": Edit(
        "engine/cpu/planner.py",
        "np.ldexp(op.a_im.astype(np.float64), -op.pole_shift)",
        "0 * np.ldexp(op.a_im.astype(np.float64), -op.pole_shift)",
    ),
    "SSM: one readout shift for all": Edit(
        "engine/cpu/planner.py",
        "np.ldexp(op.c_im.astype(np.float64), -op.readout_shift[:, None])",
        "np.ldexp(op.c_im.astype(np.float64), -op.readout_shift[0])",
    ),
    "SSM: direct path shifted one further": Edit(
        "engine/cpu/planner.py", "-op.d_shift)", "-op.d_shift - 1)"
    ),
    "saturation: one bit more": Edit(
        "engine/cpu/lowering.py", '{"BITS": op.out.bits,', '{"BITS": op.out.bits + 1,'
    ),
    "saturation: none": Edit("engine/cpu/lowering.py", '{"BITS": op.out.bits,', '{"BITS": 0,'),
    "memory: inputs released before their last reader": Edit(
        "engine/cpu/lowering.py",
        "if tensor is not None and self.readers[name] == 0 and",
        "if tensor is not None and",
    ),
    "memory: recorded tensors released": Edit(
        "engine/cpu/lowering.py",
        "self.readers[name] == 0 and name not in self.record:",
        "self.readers[name] == 0:",
    ),
    "memory: states of two operations in one place": Edit(
        "engine/cpu/tape.py",
        ("self.state_words += padded(words)\n        return self.state_words - padded(words)"),
        ("self.state_words = max(self.state_words, padded(words))\n        return 0"),
    ),
    "memory: two tensors in one place": Edit(
        "engine/cpu/tape.py",
        "self.work_words += words\n",
        "self.work_words = max(self.work_words, words)\n",
    ),
    "counts: two tensors in one place": Edit(
        "engine/cpu/tape.py", "return self.names.index(name)", "return 0"
    ),
    "session: reset keeps the counts": Edit(
        "engine/cpu/session.py", "        self._counts[:] = 0\n", "        pass\n"
    ),
    "session: one step more in the mean": Edit(
        "engine/cpu/session.py", "self.steps += steps", "self.steps += steps + 1"
    ),
    "2^54 for 2^53": Edit("derive/exactness.py", "DOUBLE = 1 << 53", "DOUBLE = 1 << 54"),
    "2^25 for 2^24": Edit("derive/exactness.py", "SINGLE = 1 << 24", "SINGLE = 1 << 25"),
    "the offset left out of a bound": Edit(
        "derive/exactness.py",
        "reach = scaled + ((2 * offset + 1) << (right - 1))",
        "reach = scaled + (1 << (right - 1))",
    ),
    "shifts to the left left out of a bound": Edit(
        "derive/exactness.py", "scaled = product << (right - shift)", "scaled = product"
    ),
    "LayerNorm's deviations without their factor": Edit(
        "derive/exactness.py",
        "deviation = 4 * len(op.gain) * int(exact(x.largest()).max())",
        "deviation = int(exact(x.largest()).max())",
    ),
    "LayerNorm's gain not bounded": Edit(
        "derive/exactness.py",
        "deviation < DOUBLE and rounds_exactly(",
        "deviation < DOUBLE or rounds_exactly(",
    ),
    "an SSM's recurrence not bounded": Edit(
        "derive/exactness.py", "largest = max(", "largest = 0 * max("
    ),
    "an SSM's input not bounded": Edit(
        "derive/exactness.py",
        "(a_re * s_re + a_im * s_im + kick + half)",
        "(a_re * s_re + a_im * s_im + half)",
    ),
    "an SSM's readout not bounded": Edit(
        "derive/exactness.py",
        "readout = exact(op.c_re) * s_re + exact(op.c_im) * s_im",
        "readout = 0 * exact(op.c_re) * s_re",
    ),
    "an SSM's sum not bounded": Edit(
        "derive/exactness.py", "bool((2 * total < DOUBLE).all())", "True"
    ),
    "bytes of 257 values": Edit("engine/cpu/packing.py", "shifted < 256 and", "shifted < 257 and"),
    "bytes for weights of 9 bits": Edit(
        "engine/cpu/packing.py", "_within(weight, 8)", "_within(weight, 9)"
    ),
    "offset one less": Edit(
        "engine/cpu/packing.py",
        "offset = max(0, -int(x.low.min()))",
        "offset = max(0, -int(x.low.min()) - 1)",
    ),
    "shorts for inputs of 17 bits": Edit(
        "engine/cpu/packing.py",
        ("_within(x.low, 16)\n        and _within(x.high, 16)"),
        ("_within(x.low, 17)\n        and _within(x.high, 17)"),
    ),
    "shorts for weights of 17 bits": Edit(
        "engine/cpu/packing.py", "and _within(weight, 16)", "and _within(weight, 17)"
    ),
    "shorts whose sums wrap": Edit(
        "engine/cpu/packing.py", "and reach < 1 << 31\n", "and reach < 1 << 33\n"
    ),
    "floats: taken for exact": Edit(
        "engine/cpu/planner.py",
        "and not recorded and kernel.is_exact(op, inputs):",
        "and not recorded:",
    ),
    "floats: recorded states taken for there": Edit(
        "engine/cpu/planner.py",
        (
            "recorded = any(op.state_name(state) in to.record for state in op.states)\n"
            "    if kernel and"
        ),
        ("recorded = False\n    if kernel and"),
    ),
    "LayerNorm: no eps": Edit(
        "engine/cpu/planner.py", '{"FLOATS": fields, "EPS": op.eps}', '{"FLOATS": fields, "EPS": 0}'
    ),
    "SSM: states taken for proved": Edit(
        "engine/cpu/planner.py", "0 if op.states_proved(u) else op.state_bits", "0"
    ),
    "SSM: states one bit wider": Edit(
        "engine/cpu/planner.py",
        "0 if op.states_proved(u) else op.state_bits",
        "0 if op.states_proved(u) else op.state_bits + 1",
    ),
    "Embedding: one more": Edit(
        "engine/cpu/planner.py",
        '"FLOATS": to.builder.add_floats(op.weight)})',
        '"FLOATS": to.builder.add_floats(op.weight + 1)})',
    ),
    "integers: modes of one only": Edit(
        "engine/cpu/planner.py",
        ('"MODES": modes,\n        "RECORD"'),
        ('"MODES": 1,\n        "RECORD"'),
    ),
    "integers: states recorded side by side": Edit(
        "engine/cpu/planner.py", '"RECORD_STRIDE": padded(size)', '"RECORD_STRIDE": size'
    ),
    "integers: read back as floats beyond 2^53": Edit(
        "engine/cpu/lowering.py",
        ("if exactness.holds(self.intervals[op.name]):\n                out"),
        ("if True:\n                out"),
    ),
    "integers: room of a copy released twice": Edit(
        "engine/cpu/lowering.py", "if tensor is not self.tensors[name]:", "if True:"
    ),
    "states kept from sample to sample": Edit(
        "engine/cpu/workspace.py", "        self._states[:] = 0\n", "        pass\n"
    ),
}
"""In what is decided before the kernels run: constants, memory, and which numbers hold a result."""

REFERENCE = {
    "rshift: halves down": Edit(
        "program/arithmetic.py",
        "np.maximum(right - 1, 0), 0)",
        "np.maximum(right - 1, 0), 0) - (k > 0)",
    ),
    "saturation: upper limit one lower": Edit(
        "program/arithmetic.py", "np.clip(value, low, high)", "np.clip(value, low, high - 1)"
    ),
    "saturation: upper limit one higher": Edit(
        "program/arithmetic.py", "np.clip(value, low, high)", "np.clip(value, low, high + 1)"
    ),
    "saturation: symmetric limits": Edit(
        "program/arithmetic.py", "np.clip(value, low, high)", "np.clip(value, low + 1, high)"
    ),
    "saturation: counted by vector": Edit(
        "program/arithmetic.py", "tally[name] += count", "tally[name] += 1"
    ),
    "Input: rounded down": Edit("program/source.py", "floor + (scaled - floor >= 0.5)", "floor"),
    "Input: halves down": Edit(
        "program/source.py", "scaled - floor >= 0.5", "scaled - floor > 0.5"
    ),
    "Dense: weights transposed in part": Edit(
        "program/dense.py", "x @ self.weight.T", "x @ self.weight.T + self.weight[0, 0]"
    ),
    "LayerNorm: deviations of 21 bits": Edit(
        "program/layernorm.py", "DEVIATION_BITS = 20", "DEVIATION_BITS = 21"
    ),
    "LayerNorm: two Newton steps": Edit(
        "program/layernorm.py", "NEWTON_STEPS = 3", "NEWTON_STEPS = 2"
    ),
    "LayerNorm: estimate": Edit(
        "program/layernorm.py", "(139592, 79299)", "(139592 - 2**9, 79299)"
    ),
    "Readout: rounded down": Edit("program/readout.py", "(2 * z + (n << self.shift))", "(2 * z)"),
    "Readout: halves down": Edit(
        "program/readout.py",
        "(2 * z + (n << self.shift))",
        "(2 * z + (n << self.shift) - 1)",
    ),
    "Readout: towards 0": Edit(
        "program/readout.py",
        "logits = (2 * z + (n << self.shift)) // (n << (self.shift + 1))",
        (
            "logits = np.fix((2 * z + (n << self.shift)) / (n << (self.shift + "
            "1)))\n"
            "        logits = logits.astype(np.int64)"
        ),
    ),
    "Readout: bias once": Edit("program/readout.py", "self.bias * n", "self.bias"),
    "rshift: rounded down": Edit(
        "program/arithmetic.py",
        "np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)",
        "0 * right",
    ),
    "rshift: not to the left": Edit("program/arithmetic.py", "np.maximum(-k, 0)", "0 * k"),
    "bit_length: one more": Edit(
        "program/arithmetic.py", "return bits - too_many", "return bits - too_many + (bits > 0)"
    ),
    "Embedding: next row": Edit(
        "program/embedding.py", "self.weight[token[:, 0]]", "self.weight[token[:, 0] - 1]"
    ),
    "evaluation: greater or equal": Edit(
        "program/evaluate.py", "(a > b).astype", "(a >= b).astype"
    ),
    "evaluation: choices swapped": Edit(
        "program/evaluate.py", "np.where(condition != 0, a, b)", "np.where(condition != 0, b, a)"
    ),
    "evaluation: the first mode left out": Edit(
        "program/evaluate.py", "return a.sum(-1)\n", "return a[..., 1:].sum(-1)\n"
    ),
    "evaluation: given shifts rounded down": Edit(
        "program/evaluate.py",
        "shifted = (p + self._half) >> self._right",
        "shifted = p >> self._right",
    ),
    "evaluation: given shifts not to the left": Edit(
        "program/evaluate.py", "shifted if self._left is None else shifted << self._left", "shifted"
    ),
    "states not saturated": Edit(
        "program/operation.py",
        "return saturate(value, bits, tally, self.state_tally)",
        "return value",
    ),
    "saturated states not counted": Edit(
        "program/operation.py",
        "return saturate(value, bits, tally, self.state_tally)",
        "return saturate(value, bits, Tally(), self.state_tally)",
    ),
    "outputs one bit wider": Edit(
        "program/operation.py",
        "out = saturate(out, self.out.bits, tally, self.name)",
        "out = saturate(out, self.out.bits + 1, tally, self.name)",
    ),
}
"""In the definition itself; only the golden vectors and the naive interpreter can tell."""
