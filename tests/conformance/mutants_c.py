"""Altered printers of C: what is written by hand there, each edited by one unit or sign.

Equations have mutants of their own (`equations`); here is what combines channels with weights, the
recurrence and the weights of spikes in vectors, and where tensors lie.
"""

from __future__ import annotations

from sandbox import Edit

LOWERING, VECTORS, SPIKES = (f"c/{name}.py" for name in ("lowering", "recurrence", "spikes"))
EQUATIONS = "c/equations.py"

EDITS = {
    "Dense: a sum begun at 1": Edit(LOWERING, "{kind.name} sum = 0;", "{kind.name} sum = 1;"),
    "Dense: spikes taken off": Edit(LOWERING, '("x0[i] > 0", "+")', '("x0[i] > 0", "-")'),
    "Dense: negative spikes added": Edit(LOWERING, '("x0[i] < 0", "-")', '("x0[i] < 0", "+")'),
    "Embedding: row 0": Edit(
        LOWERING, "(size_t)x0[0] * {channels}", "(size_t)(x0[0] / 2) * {channels}"
    ),
    "Readout: the last step": Edit(LOWERING, "sum[c] += ", "sum[c] = "),
    "Readout: bias once more": Edit(
        LOWERING, "z = (int64_t){bias.name}[k] * n", "z = (int64_t){bias.name}[k] * (n + 1)"
    ),
    "Readout: no half": Edit(LOWERING, "2 * z + n * {half}", "2 * z"),
    "Readout: limits exchanged": Edit(
        LOWERING, "z < 0 ? {least} : {most}", "z < 0 ? {most} : {least}"
    ),
    "memory: used again too early": Edit(
        LOWERING, "if self._last_reader[name] == op.name and", "if"
    ),
    "memory: states of 8 bits less": Edit(
        LOWERING, "max(ends(kept.high)[1], 0)", "max(ends(kept.high)[1] >> 8, 0)"
    ),
    "equations: output not clipped": Edit(
        EQUATIONS, "self.clips = op.saturates and not (", "self.clips = op.saturates and None is ("
    ),
    "equations: clipped states not counted": Edit(
        EQUATIONS, "count_states += v{number} != {value}", "count_states += v{number} > {value}"
    ),
    "equations: clipped output not counted": Edit(
        EQUATIONS, "count += out != {value}", "count += out > {value}"
    ),
    "equations: an even table one step on": Edit(
        EQUATIONS, "int(table[0]), int(steps[0])", "int(table[0]) + 1, int(steps[0])"
    ),
    "equations: arrays of shifts rounded down": Edit(
        EQUATIONS, 'f"(({p} >> {k}) + 1) >> 1" if less', 'f"({p} >> {k}) >> 1" if less'
    ),
    "equations: numbers shifted rounded down": Edit(
        EQUATIONS, "{p} + {literal(half, kind)}", "{p} + {literal(half - 1, kind)}"
    ),
    "vectors: half a bit too large": Edit(VECTORS, "zero - {most + 1}", "zero - {most}"),
    "vectors: no half": Edit(VECTORS, "if most > 0 else", "if most > 99 else"),
    "vectors: another sign of a_im in the real part": Edit(
        VECTORS, "- a_im{j} * im{j} + big", "+ a_im{j} * im{j} + big"
    ),
    "vectors: another sign of a_im in the imaginary part": Edit(
        VECTORS, "+ a_im{j} * re{j} + big", "- a_im{j} * re{j} + big"
    ),
    "vectors: the real part stays as it was": Edit(
        VECTORS, 'yield f"re{j} = next{j} - big;"', 'yield f"re{j} = re{j} + 0 * next{j};"'
    ),
    "vectors: another sign of c_im": Edit(
        VECTORS, "- c_im{j} * im{j} + big", "+ c_im{j} * im{j} + big"
    ),
    "vectors: one mode's bits left": Edit(VECTORS, "{self.modes + 1};", "{self.modes};"),
    "vectors: the input halved": Edit(
        VECTORS, '("kick", "", "input_shift")', '("kick", "-", "input_shift")'
    ),
    "vectors: no feed-through": Edit(VECTORS, "u[t] * gain + half_d", "half_d"),
    "vectors: modes of another channel": Edit(
        VECTORS, "transpose(0, 2, 1)", "transpose(0, 2, 1)[:, ::-1]"
    ),
    "vectors: outputs that clip": Edit(VECTORS, "op.out.proved and ", ""),
    "spikes: the other sign": Edit(SPIKES, '"><" if', '"<>" if'),
    "spikes: negative ones added": Edit(SPIKES, '"+-" if', '"++" if'),
    "spikes: the first one twice": Edit(
        SPIKES, "ends[{k + 1}] += x0[i] {sign} 0", "ends[{k + 1}] += i > 0 ? x0[i] {sign} 0 : 1"
    ),
    "spikes: weights of the next output": Edit(
        SPIKES, "((0, 0), (0, room - weight.shape[0]))", "((0, 0), (1, room - weight.shape[0]))"
    ),
}
