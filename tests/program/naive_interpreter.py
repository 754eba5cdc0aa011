"""An interpreter of program files, written from docs/fixed-point.md alone in plain Python integers.

It shares no line with the package and uses NumPy for nothing but what h5py hands over. It is slow
on purpose: every element is computed by the equation on that page.
"""

from __future__ import annotations

import json
from collections import Counter
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any

import h5py

Vector = list[int]


def rshift(p: int, k: int) -> int:
    if k > 0:
        return (p + (1 << (k - 1))) >> k
    return p << -k


def load(path: Path) -> dict[str, Any]:
    """Read the operations of a program file, each a dict of its fields, in the file's order."""
    with h5py.File(path, "r") as file:
        assert file.attrs["schema"] == "neurossm-program"
        assert file.attrs["version"] in (1, 2)
        operations = [_operation(group) for group in file["ops"].values()]
    return {"operations": operations}


def _operation(group: h5py.Group) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in group.attrs.items():
        fields[name] = value.item() if hasattr(value, "item") else value
    for name, entry in group.items():
        if isinstance(entry, h5py.Dataset):
            fields[name] = entry[()].tolist()
    fields["inputs"] = json.loads(fields["inputs"])
    fields["bits"] = int(group["out"].attrs["bits"])
    fields["exponent"] = group["out/exponent"][()].tolist()
    return fields


class Machine:
    """One program, run sample by sample; `counts` are the saturations of all samples so far."""

    def __init__(self, program: dict[str, Any]) -> None:
        self.operations = program["operations"]
        self.counts: Counter[str] = Counter()
        (self.input,) = (op for op in self.operations if op["type"] == "Input")
        (self.readout,) = (op for op in self.operations if op["type"].endswith("Readout"))

    def run(self, sample: list[list[Any]]) -> tuple[Vector, dict[str, list]]:
        """Return the logits of a sample (steps, channels), and every tensor at every step."""
        assert 1 <= len(sample) <= self.readout["max_steps"]
        self.states = {
            op["name"]: [[[0] * len(row) for row in op["a_re"]] for _ in range(2)]
            for op in self.operations
            if op["type"] == "SSM"
        }
        self.pairs = {
            op["name"]: ([0] * len(op["threshold"]), [0] * len(op["threshold"]))
            for op in self.operations
            if op["type"] in ("AdLIF", "ResonateFire")
        }
        self.voltages = {
            op["name"]: [0] * len(op["decay"]) for op in self.operations if op["type"] == "LIF"
        }
        tensors: dict[str, list] = {}
        stream: list[Vector] = []
        total = [0] * len(self.readout["weight"][0])
        for data in sample:
            values = self._step(data)
            first = not tensors
            for i, x in enumerate(values[self.readout["inputs"][0]]):
                total[i] = self._kept(total[i], x, first)
            if self.readout["type"] == "StreamReadout":
                stream.append(self._logits(total, 1))
            for name, (re, im) in self.states.items():
                values[f"{name}:state_re"], values[f"{name}:state_im"] = re, im
            for name, v in self.voltages.items():
                values[f"{name}:state"] = v
            for op in self.operations:
                if op["name"] in self.pairs:
                    names = ("v", "w") if op["type"] == "AdLIF" else ("re", "im")
                    for letter, state in zip(names, self.pairs[op["name"]], strict=True):
                        values[f"{op['name']}:state_{letter}"] = state
            for name, value in values.items():
                tensors.setdefault(name, []).append(value)
        if self.readout["type"] == "StreamReadout":
            return stream, tensors
        if self.readout["type"] != "Readout":
            return self._logits(total, 1), tensors
        return self._logits(total, len(sample)), tensors

    def _kept(self, acc: int, x: int, first: bool) -> int:
        if self.readout["type"] in ("LastReadout", "StreamReadout"):
            return x
        if self.readout["type"] == "MaxReadout":
            return x if first else max(acc, x)
        return acc + x

    def _step(self, data: list[Any]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for op in self.operations:
            if op["type"] == "Input":
                values[op["name"]] = self._encode(data)
            elif op is not self.readout:
                inputs = [values[name] for name in op["inputs"]]
                values[op["name"]] = getattr(self, f"_{op['type'].lower()}")(op, *inputs)
        return values

    def _encode(self, data: list[Any]) -> Vector:
        if self.input["kind"] != "float":
            return [int(x) for x in data]
        return [
            floor(Fraction(x) * Fraction(2) ** e + Fraction(1, 2))
            for x, e in zip(data, self.input["exponent"], strict=True)
        ]

    def _sat(self, value: int, bits: int, name: str) -> int:
        low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        clipped = low if value < low else high if value > high else value
        if clipped != value:
            self.counts[name] += 1
        return clipped

    def _out(self, op: dict[str, Any], values: list[int]) -> Vector:
        return [self._sat(value, op["bits"], op["name"]) for value in values]

    def _dense(self, op: dict[str, Any], x: Vector) -> Vector:
        return [sum(row[i] * x[i] for i in range(len(x))) for row in op["weight"]]

    def _embedding(self, op: dict[str, Any], x: Vector) -> Vector:
        return list(op["weight"][x[0]])

    def _affine(self, op: dict[str, Any], x: Vector) -> Vector:
        gain, shift, offset = op["gain"], op["shift"], op["offset"]
        return self._out(op, [rshift(gain[h] * x[h], shift[h]) + offset[h] for h in range(len(x))])

    def _ssm(self, op: dict[str, Any], u: Vector) -> Vector:
        bits, state = op["state_bits"], f"{op['name']}:state"
        old_re, old_im = self.states[op["name"]]
        new_re, new_im = [], []
        y = []
        for h in range(len(u)):
            new_re.append([])
            new_im.append([])
            total = rshift(op["d"][h] * u[h], op["d_shift"][h])
            for n in range(len(op["a_re"][h])):
                A, a_re, a_im = (op[field][h][n] for field in ("pole_shift", "a_re", "a_im"))
                s_re, s_im = old_re[h][n], old_im[h][n]
                kick = u[h] * 2 ** (A + op["input_shift"][h][n])
                re = self._sat(rshift(a_re * s_re - a_im * s_im + kick, A), bits, state)
                im = self._sat(rshift(a_re * s_im + a_im * s_re, A), bits, state)
                new_re[h].append(re)
                new_im[h].append(im)
                readout = op["c_re"][h][n] * re - op["c_im"][h][n] * im
                total += rshift(readout, op["readout_shift"][h])
            y.append(total)
        self.states[op["name"]] = [new_re, new_im]
        return self._out(op, y)

    def _spike(self, op: dict[str, Any], x: Vector) -> Vector:
        return [1 if v > threshold else 0 for v, threshold in zip(x, op["threshold"], strict=True)]

    def _ternary(self, op: dict[str, Any], x: Vector) -> Vector:
        return [
            1 if v > threshold else -1 if v < -threshold else 0
            for v, threshold in zip(x, op["threshold"], strict=True)
        ]

    def _peakternary(self, op: dict[str, Any], x: Vector) -> Vector:
        d = op["factor"] * max(abs(v) for v in x) // 2 ** op["shift"]
        return [1 if v > d else -1 if v < -d else 0 for v in x]

    def _table(self, op: dict[str, Any], x: Vector) -> Vector:
        values = []
        for v in x:
            i = (v - op["origin"]) >> op["width"]
            i = min(max(i, 0), len(op["base"]) - 1)
            dx = v - op["origin"] - i * 2 ** op["width"]
            values.append(op["base"][i] + rshift(op["slope"][i] * dx, op["slope_shift"]))
        return self._out(op, values)

    def _product(self, op: dict[str, Any], x: Vector, y: Vector) -> Vector:
        return self._out(op, [rshift(x[h] * y[h], op["shift"][h]) for h in range(len(x))])

    def _add(self, op: dict[str, Any], x: Vector, y: Vector) -> Vector:
        return self._out(op, [x[h] + y[h] for h in range(len(x))])

    def _relu(self, op: dict[str, Any], x: Vector) -> Vector:
        return self._out(op, [rshift(max(v, 0), k) for v, k in zip(x, op["shift"], strict=True)])

    def _lif(self, op: dict[str, Any], x: Vector) -> Vector:
        spikes, kept = [], []
        for h, v in enumerate(self.voltages[op["name"]]):
            exact = rshift(op["decay"][h] * v, op["decay_shift"][h]) + x[h]
            w = self._sat(exact, op["state_bits"], f"{op['name']}:state")
            fires = w > op["threshold"][h]
            spikes.append(1 if fires else 0)
            kept.append(0 if fires else w)
        self.voltages[op["name"]] = kept
        return spikes

    def _adlif(self, op: dict[str, Any], x: Vector) -> Vector:
        bits, state = op["state_bits"], f"{op['name']}:state"
        spikes, new_v, new_w = [], [], []
        for h, (v, w) in enumerate(zip(*self.pairs[op["name"]], strict=True)):
            u = rshift(op["decay"][h] * (v + w), op["decay_shift"][h]) - w + x[h]
            u = self._sat(u, bits, state)
            y = 1 if u > op["threshold"][h] else 0
            drawn = op["adaptation_decay"][h] * w + op["sensitivity"][h] * u
            drawn = rshift(drawn, op["adaptation_shift"][h]) + y * op["jump"][h]
            spikes.append(y)
            new_v.append(self._sat(u - y * op["reset"][h], bits, state))
            new_w.append(self._sat(drawn, bits, state))
        self.pairs[op["name"]] = (new_v, new_w)
        return spikes

    def _resonatefire(self, op: dict[str, Any], x: Vector) -> Vector:
        bits, state = op["state_bits"], f"{op['name']}:state"
        spikes, new_re, new_im = [], [], []
        for h, (re, im) in enumerate(zip(*self.pairs[op["name"]], strict=True)):
            a, b, A = op["a_re"][h], op["a_im"][h], op["pole_shift"][h]
            u_re = self._sat(rshift(a * re - b * im, A) + x[h], bits, state)
            u_im = self._sat(rshift(b * re + a * im, A), bits, state)
            y = 1 if u_re > op["threshold"][h] else 0
            spikes.append(y)
            new_re.append(self._sat(u_re - y * op["reset_re"][h], bits, state))
            new_im.append(self._sat(u_im - y * op["reset_im"][h], bits, state))
        self.pairs[op["name"]] = (new_re, new_im)
        return spikes

    def _softmax(self, op: dict[str, Any], x: Vector) -> Vector:
        powers = []
        for v in x:
            t = rshift((max(x) - v) * op["scale"], op["scale_shift"])
            n = t // 2**14
            i = (t - n * 2**14) // 2**8
            r = t - n * 2**14 - i * 2**8
            power = op["table"][i] * (65536 - rshift(710 * r, 8))
            powers.append(rshift(power, min(n + 16, 62)))
        k = sum(powers).bit_length()
        v = rshift(sum(powers), k - 28)
        R = 2960686 - rshift(1973790 * v, 28)
        for _ in range(3):
            q = rshift(v * R, 28)
            R = rshift(R * (2097152 - q), 20)
        return self._out(op, [rshift(power * R, k) for power in powers])

    def _layernorm(self, op: dict[str, Any], x: Vector) -> Vector:
        total = sum(x)
        d = [len(x) * v - total for v in x]
        r = max(0, max(abs(v) for v in d).bit_length() - 20)
        d = [rshift(v, r) for v in d]
        V = sum(v * v for v in d) + op["eps"] // 2 ** (2 * r)
        if V == 0:
            g = [0] * len(x)
        else:
            p = (V.bit_length() + 1) // 2 - 14
            v = rshift(V, 2 * p)
            R = 139592 - rshift(79299 * v, 28)
            for _ in range(3):
                q = rshift(R * R, 16)
                e = rshift(v * q, 28)
                R = rshift(R * (196608 - e), 17)
            g = [rshift(value * R, 10 + p) for value in d]
        gain, shift, offset = op["gain"], op["shift"], op["offset"]
        return self._out(op, [rshift(gain[h] * g[h], shift[h]) + offset[h] for h in range(len(x))])

    def _logits(self, total: Vector, n: int) -> Vector:
        op, q = self.readout, self.readout["shift"]
        logits = []
        for row, bias in zip(op["weight"], op["bias"], strict=True):
            z = sum(w * acc for w, acc in zip(row, total, strict=True)) + bias * n
            logits.append((2 * z + n * 2**q) // (n * 2 ** (q + 1)))
        return self._out(op, logits)
