"""Altered Lava models: each edit breaks one operation by one unit, place or comparison."""

from __future__ import annotations

K, N, F = "lava/kernels.py", "lava/kernels_norm.py", "lava/fixed.py"
P = "lava/processes"

EDITS: dict[str, tuple[str, str, str]] = {
    "shift: floor": (K, "(value + (1 << (shift - 1))) >> shift", "value >> shift"),
    "shift: halves down": (K, "(1 << (shift - 1))) >>", "(1 << (shift - 1)) - 1) >>"),
    "shift: left by one less": (K, "value << -shift", "value << max(-shift - 1, 0)"),
    "clamp: low not counted": (
        K,
        "out[h] = low\n        return 1",
        "out[h] = low\n        return 0",
    ),
    "clamp: high, one more": (K, "out[h] = high\n", "out[h] = high + 1\n"),
    "clamp: equal counts": (K, "if value > high:", "if value >= high:"),
    "Affine: no offset": (K, "shift[h]) + offset[h], low", "shift[h]), low"),
    "Affine: one more": (K, "shift[h]) + offset[h], low", "shift[h]) + offset[h] + 1, low"),
    "SSM: sign of a_im s_im": (
        K,
        "a_im[h, n] * s_im[h, n] + drive",
        "-a_im[h, n] * s_im[h, n] + drive",
    ),
    "SSM: input twice": (K, "u[h] << (shift + input_shift", "u[h] << (1 + shift + input_shift"),
    "SSM: input one more": (K, "drive = u[h] <<", "drive = (u[h] + 1) <<"),
    "SSM: readout of the imaginary part": (
        K,
        "read = c_re[h, n] * s_re[h, n] - c_im",
        "read = c_re[h, n] * s_re[h, n] + c_im",
    ),
    "SSM: not rounded mode by mode": (
        K,
        "total += rshift(read, readout_shift[h])",
        "total += read >> readout_shift[h]",
    ),
    "SSM: no direct path": (K, "total = rshift(d[h] * u[h], d_shift[h])", "total = 0 * h"),
    "SSM: the new real part": (K, "a_im[h, n] * s_re[h, n], shift)", "a_im[h, n] * re, shift)"),
    "Table: no last segment": (K, "last = base.size - 1", "last = max(base.size - 2, 0)"),
    "Table: ends clamped": (
        K,
        "(distance - (i << width)), slope",
        "max(distance - (i << width), 0), slope",
    ),
    "Table: one more": (K, "store(base[i] + rise", "store(base[i] + rise + 1"),
    "Product: one more": (K, "rshift(x[h] * y[h], shift[h])", "rshift(x[h] * y[h], shift[h]) + 1"),
    "Add: one less": (K, "store(x[h] + y[h], low", "store(x[h] + y[h] - 1, low"),
    "LayerNorm: bit length": (N, "while value > 0:", "while value > 1:"),
    "LayerNorm: 21 bits": (N, "bit_length(largest) - 20", "bit_length(largest) - 21"),
    "LayerNorm: estimate": (N, "139592", "139000"),
    "LayerNorm: two steps": (N, "range(3)", "range(2)"),
    "LayerNorm: one more power": (N, "+ 1) // 2 - 14", "+ 2) // 2 - 14"),
    "LayerNorm: no eps": (N, "power = eps >> min(2 * right, 62)", "power = 0 * eps"),
    "LayerNorm: eps not shifted": (N, "eps >> min(2 * right, 62)", "eps"),
    "LayerNorm: largest of squares": (
        N,
        "power += deviation * deviation",
        "power = max(power, deviation * deviation)",
    ),
    "LayerNorm: exponent": (N, "10 + p", "11 + p"),
    "LayerNorm: offset": (N, "+ offset[h], low", "+ offset[h] + 1, low"),
    "Ternary: also at the threshold": (
        F,
        "(y > threshold).astype(np.int64)",
        "(y >= threshold).astype(np.int64)",
    ),
    "Ternary: also at minus it": (F, "- (y < -threshold)", "- (y <= -threshold)"),
    "Ternary: no -1": (F, "- (y < -threshold)", "+ 0 * (y < -threshold)"),
    "Readout: not rounded": (F, "2 * z + (steps << p.shift)", "2 * z"),
    "Readout: bias once": (F, "bias * steps", "bias"),
    "Spike: also at the threshold": (
        f"{P}/ssm/process.py",
        'y > self.proc_params["threshold"]',
        'y >= self.proc_params["threshold"]',
    ),
    "states: not reset": (
        "lava/neuron.py",
        "if self.schedule.begins(position):",
        "if position == 0:",
    ),
    "states: swapped": (
        "lava/neuron.py",
        "fixed.step(self.modes, u, self.state_re, self.state_im)",
        "fixed.step(self.modes, u, self.state_im, self.state_re)",
    ),
    "neuron: saturations of u not counted": (
        "lava/neuron.py",
        "(saturated_u, saturated_state",
        "(0, saturated_state",
    ),
    "residual: does not wait": (
        "lava/residual.py",
        "        x = self.waiting.copy()\n        self.waiting[:] = self.x_in.recv()\n",
        "        self.waiting[:] = self.x_in.recv()\n        x = self.waiting.copy()\n",
    ),
    "graded: not what is compared": (
        f"{P}/ternary_ssm/process.py",
        "fixed.ternary(self.ternary, graded)",
        "fixed.ternary(self.ternary, y)",
    ),
    "graded: not what is sent": (
        f"{P}/ternary_ssm/process.py",
        "return graded, fixed.ternary",
        "return y, fixed.ternary",
    ),
    "graded: not counted": (
        f"{P}/ternary_ssm/process.py",
        "self.saturations[3] += saturated",
        "self.saturations[3] += 0",
    ),
    "GLU: halves swapped": (
        f"{P}/glu/process.py",
        '"value_in": a[: a.size // 2], "gate_in": a[a.size // 2 :]',
        '"gate_in": a[: a.size // 2], "value_in": a[a.size // 2 :]',
    ),
    "GSU: branches swapped": (
        f"{P}/gsu/process.py",
        '"first_in": self.first_in.recv(), "second_in": self.second_in.recv()',
        '"second_in": self.first_in.recv(), "first_in": self.second_in.recv()',
    ),
    "GSU: no residual": (
        f"{P}/gsu/process.py",
        'fixed.add(p["total"], x, active)',
        'fixed.add(p["total"], 0 * x, active)',
    ),
    "Readout: sum not reset": (
        f"{P}/readout/process.py",
        "if self.schedule.begins(position):",
        "if position == 0:",
    ),
    "Embedding: the next row": (
        f"{P}/embedding/process.py",
        "y = self.weight[token]",
        "y = self.weight[token - 1]",
    ),
    "Player: the row before": (
        f"{P}/player/process.py",
        "row = self.rows[position]",
        "row = self.rows[position - 1]",
    ),
    "schedule: one step late": (
        "lava/schedule.py",
        "position = time_step - 1 - self.reset_offset",
        "position = time_step - 2 - self.reset_offset",
    ),
    "schedule: ends one step early": (
        "lava/schedule.py",
        "(position + 1) % self.reset_period",
        "(position + 2) % self.reset_period",
    ),
    "plan: a Dense without delay": ("lava/grouping.py", 'late + (group.kind == "Dense")', "late"),
    "plan: ternary spikes as single bits": (
        "lava/from_program.py",
        "binary = isinstance(source, ops.Spike)",
        "binary = isinstance(source, (ops.Spike, ops.Ternary))",
    ),
    "Dense: odd weights": (
        "lava/network.py",
        "weights=2 * weights.weight,\n        weight_exp=-1",
        "weights=weights.weight,\n        weight_exp=0",
    ),
    "network: readout a step early": (
        "lava/network.py",
        "rows + plan.latency_steps, plan.latency_steps",
        "rows + plan.latency_steps - 1, plan.latency_steps",
    ),
}
"""By what is wrong: file, what it says, what it says instead."""
