"""Altered Lava networks: each edit breaks a wire, a delay, a reset, a width or a loop.

What operations compute is tried in `tests/conformance/mutants.py`, where their expressions are
altered; here is what this room adds to them.
"""

from __future__ import annotations

MODEL, KERNELS, SCHEDULE = "lava/neuron_model.py", "lava/kernels.py", "lava/schedule.py"
PLANNER, NETWORK, UNIT = "lava/planner.py", "lava/network.py", "lava/unit.py"
STAGES = "lava/stages.py"
STEPPING, PARTS = "lava/stepping.py", "lava/parts.py"
READOUT, PLAYER = "lava/processes/readout/process.py", "lava/processes/player/process.py"

EDITS: dict[str, tuple[str, str, str]] = {
    # when samples pass
    "position: one early": (
        SCHEDULE,
        "time_step - 1 - self.reset_offset",
        "time_step - self.reset_offset",
    ),
    "begins: a step late": (
        SCHEDULE,
        "return position == 0 or self.sample(position) != self.sample(position - 1)",
        "return position > 0 and self.sample(position - 1) != self.sample(position - 2)",
    ),
    "ends: a step late": (
        SCHEDULE,
        "self.begins(position + 1)",
        "self.begins(position)",
    ),
    "offset: none": (NETWORK, "reset_offset=stage.depth", "reset_offset=0"),
    "latency: one step less to run": (
        NETWORK,
        "rows + plan.drain_steps, plan",
        "rows + plan.drain_steps - 1, plan",
    ),
    # resets
    "states: kept from sample to sample": (MODEL, "values[...] = 0", "pass"),
    "states: reset at every step": (MODEL, "        if begins:\n", "        if True:\n"),
    "sum: kept from sample to sample": (READOUT, "self.total[:] = readout.empty", "pass"),
    "sum: over one step less": (
        READOUT,
        "self.decode(self.schedule.steps(sample))",
        "self.decode(max(self.schedule.steps(sample) - 1, 1))",
    ),
    "logits: in the next row": (
        READOUT,
        "self.trace(position if each else sample, {members[-1]",
        "self.trace(position if each else sample - 1, {members[-1]",
    ),
    # delays
    "residual: of the same step": (
        MODEL,
        "row, waiting[:] = waiting.copy(), row",
        "waiting[:] = row",
    ),
    "delay: one step for all": (MODEL, "self.time_step % inlet.delay", "0"),
    "delay: one step more": (
        PLANNER,
        "Inlet(tensors, depth - self.depth[name])",
        "Inlet(tensors, depth - self.depth[name] + 1)",
    ),
    "delay: none": (PLANNER, "Inlet(tensors, depth - self.depth[name])", "Inlet(tensors, 0)"),
    "depth: matrices do not delay": (PLANNER, "behind + is_matrix(item)", "behind"),
    # wires
    "rows: in the order of another stack": (MODEL, "                start += channels\n", ""),
    "rows: from the second on": (MODEL, "start = 0\n", "start = 1\n"),
    "port: the first graded one for all": (
        PLANNER,
        "Wire(members[0].name, port) for port, tensor in ports.items()",
        'Wire(members[0].name, "s_out") for port, tensor in ports.items()',
    ),
    "ports: exchanged values": (
        MODEL,
        "getattr(self, port).send(values[tensor])",
        "getattr(self, port).send(values[unit.members[-1].name])",
    ),
    "constants: those of another member": (
        MODEL,
        "numbers[place.member][place.name]",
        "numbers[-1 - place.member][place.name]",
    ),
    "trace: a step late": (
        MODEL,
        "self.trace(position, values |",
        "self.trace(max(position - 1, 0), values |",
    ),
    "trace: states before the step": (
        MODEL,
        "found[member.state_name(state)] = states[state.name]",
        "found[member.state_name(state)] = states[member.states[0].name]",
    ),
    "counts: not added up": (MODEL, "self.saturations += [", "self.saturations[:] = ["),
    "counts: never cleared": (MODEL, "            self._counts.clear()\n", ""),
    "counts: of another name": (
        STEPPING,
        "counts[op.state_tally] += clipped",
        "counts[op.name] += clipped",
    ),
    "data: the next row": (PLAYER, "row = self.rows[position]", "row = self.rows[position - 1]"),
    # widths
    "weights: not doubled": (STAGES, "weights=2 * weight,", "weights=weight,"),
    "sums: not halved": (STAGES, "weight_exp=-1,", "weight_exp=0,"),
    "signs: never mixed": (STAGES, "sign_mode=SignMode.MIXED", "sign_mode=SignMode.EXCITATORY"),
    "messages: single bits for all": (
        PARTS,
        "message_bits == 1 else op.message_bits",
        "message_bits == 1 else 0",
    ),
    "messages: ternary as single bits": (
        PARTS,
        "op.message_bits == 1 else",
        "op.message_bits <= 2 else",
    ),
    "ternary spikes on a binary wire": (
        "lava/processes/neuron/process.py",
        "2: np.int8",
        "2: bool",
    ),
    "graded values on a narrow wire": (
        "lava/processes/neuron/process.py",
        "np.int32 if fixed",
        "np.int8 if fixed",
    ),
    "output: one bit more": (STEPPING, "*limits(op.out.bits))", "*limits(op.out.bits + 1))"),
    # compiled operations
    "kernel: shift rounded down": (KERNELS, "(p + (int64(1) << (k - 1))) >> k", "p >> k"),
    "kernel: no shift to the left": (KERNELS, "return p << -k", "return p"),
    "kernel: bits of half": (KERNELS, "while value > 0:", "while value > 1:"),
    "kernel: what is clipped is kept": (KERNELS, "        x[c] = value\n", ""),
    "kernel: what is clipped is not counted": (KERNELS, "count += 1", "count += 0"),
    "kernel: the first input twice": (STEPPING, "inputs[0], inputs[-1]", "inputs[0], inputs[0]"),
    "kernel: one state for all": (
        STEPPING,
        "kept[..., number] = values if",
        "kept[..., 0] = values if",
    ),
    "kernel: states not kept": (
        STEPPING,
        "values[...] = kept[..., number] if",
        "values[...] = values if",
    ),
    "kernel: one channel's steps": (
        STEPPING,
        "self.sizes = (1, 1, channels,",
        "self.sizes = (1, 1, 1,",
    ),
    "kernel: one mode": (
        STEPPING,
        "channels, channels, modes, self",
        "channels, channels, 1, self",
    ),
}
