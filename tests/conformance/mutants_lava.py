"""Altered models of Lava's processes; see `mutants`."""

from __future__ import annotations

from sandbox import Edit


def _kernel(old: str, new: str) -> Edit:
    return Edit("lava/kernels.py", old, new)


def _norm(old: str, new: str) -> Edit:
    return Edit("lava/kernels_norm.py", old, new)


def _fixed(old: str, new: str) -> Edit:
    return Edit("lava/fixed.py", old, new)


def _process(name: str, old: str, new: str) -> Edit:
    return Edit(f"lava/processes/{name}/process.py", old, new)


FIXED = {
    "rshift: rounded down": _kernel("(value + (1 << (shift - 1))) >> shift", "value >> shift"),
    "rshift: halves down": _kernel(
        "(value + (1 << (shift - 1)))", "(value + (1 << (shift - 1)) - 1)"
    ),
    "saturation: upper limit one higher": _kernel(
        "if value > high:\n        out[h] = high\n", "if value > high:\n        out[h] = high + 1\n"
    ),
    "saturation: the lower limit is clipped to the upper": _kernel(
        "out[h] = low\n", "out[h] = high\n"
    ),
    "saturation: the limit itself counted": _kernel("if value > high:", "if value >= high:"),
    "saturation: symmetric limits": _fixed(
        "return -(1 << (bits - 1)), (1 << (bits - 1)) - 1",
        "return 1 - (1 << (bits - 1)), (1 << (bits - 1)) - 1",
    ),
    "Affine: offset one more": _kernel(
        "shift[h]) + offset[h], low", "shift[h]) + offset[h] + 1, low"
    ),
    "Affine: no shift": _kernel("rshift(gain[h] * x[h], shift[h])", "gain[h] * x[h]"),
    "SSM: imaginary part from the new real part": _kernel(
        "+ a_im[h, n] * s_re[h, n], shift)", "+ a_im[h, n] * re, shift)"
    ),
    "SSM: input one shift further": _kernel(
        "(shift + input_shift[h, n])", "(shift + input_shift[h, n] + 1)"
    ),
    "SSM: input after the rounding": _kernel(
        "* s_im[h, n] + drive, shift)", "* s_im[h, n], shift) + rshift(drive, shift)"
    ),
    "SSM: readout of unclipped states": _kernel(
        "c_re[h, n] * s_re[h, n] - c_im[h, n] * s_im[h, n]", "c_re[h, n] * re - c_im[h, n] * im"
    ),
    "SSM: readout of the sum of both parts": _kernel(
        "c_re[h, n] * s_re[h, n] - c_im", "c_re[h, n] * s_re[h, n] + c_im"
    ),
    "SSM: one readout shift for all": _kernel(
        "total += rshift(read, readout_shift[h])", "total += rshift(read, readout_shift[0])"
    ),
    "SSM: direct path without its shift": _kernel(
        "total = rshift(d[h] * u[h], d_shift[h])", "total = d[h] * u[h]"
    ),
    "SSM: clipped imaginary parts not counted": _kernel(
        "saturated_state += store(im,", "store(im,"
    ),
    "SSM: states of one bit more": _fixed("*limits(p.state_bits)", "*limits(p.state_bits + 1)"),
    "SSM: states kept from sample to sample": Edit("lava", "self.state_re[:] = 0", "pass"),
    "SSM: reset a step late": Edit(
        "lava/schedule.py",
        "return position % self.reset_period == 0",
        "return position % self.reset_period == 1",
    ),
    "SSM: a step too early": Edit(
        "lava/schedule.py",
        "position = time_step - 1 - self.reset_offset",
        "position = time_step - self.reset_offset",
    ),
    "Spike: at the threshold too": _process(
        "ssm",
        'return y, y > self.proc_params["threshold"]\n\n\n@implements',
        'return y, y >= self.proc_params["threshold"]\n\n\n@implements',
    ),
    "Ternary: of what is not rescaled": _process(
        "ternary_ssm",
        "return graded, fixed.ternary(self.ternary, graded)",
        "return graded, fixed.ternary(self.ternary, y)",
    ),
    "Ternary: at the upper threshold too": _fixed("(y > threshold)", "(y >= threshold)"),
    "Ternary: at the lower threshold too": _fixed("(y < -threshold)", "(y <= -threshold)"),
    "Table: first segment left out": _kernel(
        "min(max(distance >> width, 0), last)", "min(max(distance >> width, 1), last)"
    ),
    "Table: last segment left out": _kernel(
        "min(max(distance >> width, 0), last)", "min(max(distance >> width, 0), last - 1)"
    ),
    "Table: rise from the origin": _kernel("(distance - (i << width))", "distance"),
    "Table: origin off by one": _kernel("distance = x[h] - origin", "distance = x[h] - origin - 1"),
    "Product: one shift for all": _kernel(
        "rshift(x[h] * y[h], shift[h])", "rshift(x[h] * y[h], shift[0])"
    ),
    "Product: a square": _kernel("rshift(x[h] * y[h], shift[h])", "rshift(x[h] * x[h], shift[h])"),
    "Add: one too many": _kernel("store(x[h] + y[h], low", "store(x[h] + y[h] + 1, low"),
    "GLU: the gate's half for both": _process(
        "glu",
        'fixed.rescale(self.value, received["value_in"]',
        'fixed.rescale(self.value, received["gate_in"]',
    ),
    "GLU: clipped products not counted": _process("glu", "n_product, n_sum", "0, n_sum"),
    "Residual: of the same step": Edit(
        "lava",
        "x = self.waiting.copy()\n        self.waiting[:] = self.x_in.recv()",
        "self.waiting[:] = self.x_in.recv()\n        x = self.waiting.copy()",
    ),
    "GSU: branches exchanged": _process(
        "gsu",
        'fixed.multiply(p["product"], first, second)',
        'fixed.multiply(p["product"], first, first)',
    ),
    "LayerNorm: deviations of 21 bits": _norm(
        "bit_length(largest) - 20", "bit_length(largest) - 21"
    ),
    "LayerNorm: two Newton steps": _norm("for _ in range(3):", "for _ in range(2):"),
    "LayerNorm: estimate": _norm("139592", "139592 - 2**9"),
    "LayerNorm: eps not shifted": _norm("eps >> min(2 * right, 62)", "eps"),
    "LayerNorm: exponent rounded down": _norm(
        "(bit_length(power) + 1) // 2", "bit_length(power) // 2"
    ),
    "LayerNorm: normalised rounded down": _norm(
        "normal = rshift(deviation * root, 10 + p)", "normal = deviation * root >> 10 + p"
    ),
    "LayerNorm: no offset": _norm("shift[h]) + offset[h], low", "shift[h]), low"),
    "Embedding: next row": _process(
        "embedding", "y = self.weight[token]", "y = self.weight[token - 1]"
    ),
    "Dense: weights one less": Edit(
        "lava/network.py", "weights=2 * weights.weight,", "weights=2 * (weights.weight - 1),"
    ),
    "Dense: not halved": Edit("lava/network.py", "weight_exp=-1,", "weight_exp=0,"),
    "Readout: halves down": _fixed(
        "(2 * z + (steps << p.shift))", "(2 * z + (steps << p.shift) - 1)"
    ),
    "Readout: bias once": _fixed("bias * steps", "bias"),
    "Readout: sum kept from sample to sample": _process("readout", "self.total[:] = 0", "pass"),
    "Readout: sums of one step less": _process(
        "readout",
        "period = self.schedule.reset_period\n            self.logits[:] = self.decode(period)",
        "period = self.schedule.reset_period\n            self.logits[:] = self.decode(period - 1)",
    ),
    "Readout: not saturated": _fixed("logits = np.clip(exact, *limits(p.bits))", "logits = exact"),
}
"""By operation: models of fixed_pt, what calls them, and when."""

BRIEF = (
    "rshift: halves down",
    "saturation: symmetric limits",
    "SSM: imaginary part from the new real part",
    "SSM: states kept from sample to sample",
    "Spike: at the threshold too",
    "Ternary: at the lower threshold too",
    "Table: last segment left out",
    "Residual: of the same step",
    "LayerNorm: two Newton steps",
    "Embedding: next row",
    "Dense: not halved",
    "Readout: halves down",
)
"""The few that are always tried."""
