"""How often each branch of each operation's semantics was taken, worked out from the integers.

`count` reads a program and every tensor that a run recorded. It evaluates the equations of
docs/fixed-point.md once more, as far as the branch needs it, and shares no line with any engine.
Each function below names all branches of its operation, also those it met zero times: what the
test asserts is that no name it prints has a zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np

from neurossm import program as p

Counts = Counter[tuple[str, str]]
Tensors = dict[str, np.ndarray]


def count(program: p.Program, data: np.ndarray, tensors: Tensors, logits: np.ndarray) -> Counts:
    """Return how often each branch was taken, by type of operation and name of the branch.

    `tensors` holds every tensor and state of the program, (B, L, ...), `logits` is (B, classes).
    """
    found: Counts = Counter()
    for op in program.ops:
        inputs = [tensors[name] for name in op.inputs]
        if isinstance(op, p.Input):
            parts = _input(op, data)
        elif type(op) is p.Readout:
            parts = _readout(op, inputs[0], logits)
        elif isinstance(op, p.Readout):
            parts = _pooled(op, inputs[0])
        elif isinstance(op, p.SSM):
            parts = _ssm(op, inputs[0], *(tensors[f"{op.name}:state_{s}"] for s in ("re", "im")))
        elif isinstance(op, p.LIF):
            parts = _lif(op, inputs[0], tensors[f"{op.name}:state"], tensors[op.name])
        elif isinstance(op, p.AdLIF | p.ResonateFire):
            kept = [tensors[f"{op.name}:{state.name}"] for state in op.states]
            parts = _soft_reset(op, inputs[0], kept, tensors[op.name])
        elif isinstance(op, p.Dense):
            parts = _dense(op, program[op.inputs[0]], inputs[0], tensors[op.name])
        else:
            parts = _OTHERS[type(op)](op, *inputs)
        for branch, where in parts.items():
            found[type(op).__name__, branch] += int(np.count_nonzero(where))
    return found


Parts = dict[str, Any]
"""The names of an operation's branches, and an array that is true where each was taken."""


def rounding(name: str, value: np.ndarray, shift: Any) -> Parts:
    """Return the branches of `rshift(value, shift)`."""
    value, shift = np.broadcast_arrays(value, np.asarray(shift))
    right = np.maximum(shift, 1)
    rest = value & ((np.int64(1) << right) - 1)
    half = np.int64(1) << (right - 1)
    shifts = shift > 0
    return {
        f"{name} shifted left": shift < 0,
        f"{name} not shifted": shift == 0,
        f"{name} exact": shifts & (rest == 0),
        f"{name} rounded down": shifts & (rest > 0) & (rest < half),
        f"{name} rounded up": shifts & (rest > half),
        f"{name} half above 0": shifts & (rest == half) & (value > 0),
        f"{name} half below 0": shifts & (rest == half) & (value < 0),
    }


def only_right(parts: Parts) -> Parts:
    """Leave out the shifts that a field cannot hold."""
    return {name: where for name, where in parts.items() if "shifted" not in name}


def saturation(name: str, value: np.ndarray, bits: int) -> Parts:
    """Return the branches of `sat(value, bits)`, with the numbers at both sides of each limit."""
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    return {
        f"{name} inside": (value > low) & (value < high),
        f"{name} at the upper limit": value == high,
        f"{name} at the lower limit": value == low,
        f"{name} clipped from above": value > high,
        f"{name} clipped from below": value < low,
        f"{name} one above the limit": value == high + 1,
        f"{name} one below the limit": value == low - 1,
    }


def rshift(value: Any, shift: Any) -> np.ndarray:
    """Shift right to nearest, halves up, by floor division; left where the shift is negative."""
    right, left = np.maximum(shift, 0), np.maximum(-np.asarray(shift), 0)
    doubled = np.asarray(value >> np.maximum(right - 1, 0))  # one bit more than is wanted
    return np.where(right > 0, (doubled + 1) // 2, value << left)


def _input(op: p.Input, data: np.ndarray) -> Parts:
    data = data if data.ndim == 3 else data[:, :, None]
    if op.kind == "uint8":
        return {
            "byte 0": data == 0,
            "byte 255": data == 255,
            "byte between": (data > 0) & (data < 255),
        }
    if op.kind == "tokens":
        last = op.size - 1
        return {
            "first token": data == 0,
            "last token": data == last,
            "token between": (data > 0) & (data < last),
        }
    scaled = np.ldexp(data.astype(float), op.out.exponent.astype(np.int32))
    rest = scaled - np.floor(scaled)
    return {
        "float exact": rest == 0,
        "float rounded down": (rest > 0) & (rest < 0.5),
        "float rounded up": rest > 0.5,
        "float half above 0": (rest == 0.5) & (scaled > 0),
        "float half below 0": (rest == 0.5) & (scaled < 0),
        "float below a half by less than its sum shows": (rest < 0.5) & (rest + 0.5 == 1.0),
        "float at the lower end": data == op.low,
        "float at the upper end": data == op.high,
        "float of exponent below 0": (op.out.exponent < 0) & (data == data),
        "float of exponent above 0": (op.out.exponent > 0) & (data == data),
        "float narrower than a double": np.full(data.shape, data.dtype == np.float32),
    }


def _dense(op: p.Dense, source: p.Op, x: np.ndarray, z: np.ndarray) -> Parts:
    kinds = {p.Spike: "binary", p.Ternary: "ternary", p.PeakTernary: "ternary"}
    kind = kinds.get(type(source), "graded")
    silent = ~x.any(axis=2)
    return {
        **{
            f"{name} input": np.full(z.shape, name == kind)
            for name in ("binary", "ternary", "graded")
        },
        "sum above 0": z > 0,
        "sum below 0": z < 0,
        "sum cancels": (z == 0) & ~silent[:, :, None],
        "no input at all": silent,
        "every input at once": x.all(axis=2),
        "one input": np.full(z.shape, x.shape[2] == 1),
        "one output": np.full(z.shape, z.shape[2] == 1),
    }


def _embedding(op: p.Embedding, token: np.ndarray) -> Parts:
    last = len(op.weight) - 1
    return {
        "first row": token == 0,
        "last row": token == last,
        "row between": (token > 0) & (token < last),
    }


def _affine(op: p.Affine, x: np.ndarray) -> Parts:
    product = op.gain * x
    value = rshift(product, op.shift) + op.offset
    return {
        **rounding("product", product, op.shift),
        **saturation("output", value, op.out.bits),
        "gain below 0": (op.gain < 0) & (x != 0),
        "gain 0": (op.gain == 0) & (x != 0),
        "offset above 0": (op.offset > 0) & (x == x),
        "offset below 0": (op.offset < 0) & (x == x),
        "offset 0": (op.offset == 0) & (x == x),
    }


def _ssm(op: p.SSM, u: np.ndarray, s_re: np.ndarray, s_im: np.ndarray) -> Parts:
    old_re, old_im = np.zeros_like(s_re), np.zeros_like(s_im)  # (B, L, H, N)
    old_re[:, 1:], old_im[:, 1:] = s_re[:, :-1], s_im[:, :-1]
    A, drive = op.pole_shift, u[..., None]
    re = op.a_re * old_re - op.a_im * old_im + (drive << (A + op.input_shift))
    im = op.a_re * old_im + op.a_im * old_re
    readout = op.c_re * s_re - op.c_im * s_im
    m = op.readout_shift[:, None]
    direct = op.d * u
    y = rshift(readout, m).sum(axis=3) + rshift(direct, op.d_shift)
    clipped = (rshift(re, A) != s_re) | (rshift(im, A) != s_im)
    later = np.arange(u.shape[1])[None, :, None] > 0
    used = drive != 0
    near_one = np.abs((1 << A) - op.a_re) < np.abs(op.a_re)
    m_parts = rounding("readout", readout, m)
    del m_parts["readout shifted left"]
    return {
        "first step of a sample": used & ~later[..., None],
        "later step": used & later[..., None],
        "pole as such": used & ~near_one,
        "pole as a difference from 1": used & near_one,
        "pole of real part below 0": used & (op.a_re < 0),
        "real pole": used & (op.a_im == 0),
        "pole 0": used & (op.a_re == 0) & (op.a_im == 0),
        "input shift below 0": used & (op.input_shift < 0),
        "input shift 0": used & (op.input_shift == 0),
        "input shift above 0": used & (op.input_shift > 0),
        "input shift of -A": used & (op.input_shift == -A),
        "input bits kept by a shift below 0": (op.input_shift < 0)
        & (drive & ((np.int64(1) << np.maximum(-op.input_shift, 0)) - 1) != 0),
        **only_right(rounding("real part", re, A)),
        **only_right(rounding("imaginary part", im, A)),
        **saturation("real part", rshift(re, A), op.state_bits),
        **saturation("imaginary part", rshift(im, A), op.state_bits),
        "step after a clipped state": clipped[:, :-1],
        **m_parts,
        **rounding("direct path", direct, op.d_shift),
        "direct path 0": (op.d == 0) & (u != 0),
        **saturation("output", y, op.out.bits),
        "one mode": np.full(u.shape, op.modes == 1),
    }


def _relu(op: p.Relu, x: np.ndarray) -> Parts:
    positive = np.maximum(x, 0)
    parts = {
        "above 0": x > 0,
        "at 0": x == 0,
        "below 0": x < 0,
        **rounding("output", positive, op.shift),
        **saturation("output", rshift(positive, op.shift), op.out.bits),
    }
    never = ("half below 0", "the lower limit", "below", "one below the limit")
    return {name: part for name, part in parts.items() if not f"output {name}".endswith(never)} | {
        "below 0": parts["below 0"]
    }


def _lif(op: p.LIF, x: np.ndarray, kept: np.ndarray, fired: np.ndarray) -> Parts:
    old = np.zeros_like(kept)  # (B, L, H)
    old[:, 1:] = kept[:, :-1]
    product = op.decay * old
    v = rshift(product, op.decay_shift) + x
    high, low = (1 << (op.state_bits - 1)) - 1, -(1 << (op.state_bits - 1))
    clipped = np.clip(v, low, high)
    decays = rounding("decay", product, op.decay_shift)
    del decays["decay shifted left"]
    return {
        "fires": fired == 1,
        "silent": fired == 0,
        "at the threshold": clipped == op.threshold,
        "one above": clipped == op.threshold + 1,
        "fires twice in a row": (fired[:, 1:] == 1) & (fired[:, :-1] == 1),
        "silent after firing": (fired[:, 1:] == 0) & (fired[:, :-1] == 1),
        "threshold below 0": (op.threshold < 0) & (x == x),
        "decay 0": (op.decay == 0) & (x == x),
        "no decay": (op.decay == np.int64(1) << op.decay_shift) & (old != 0),
        **decays,
        **saturation("state", v, op.state_bits),
    }


def _soft_reset(op: Any, x: np.ndarray, kept: list[np.ndarray], fired: np.ndarray) -> Parts:
    a, b = (np.zeros_like(state) for state in kept)  # before each step, (B, L, H)
    a[:, 1:], b[:, 1:] = kept[0][:, :-1], kept[1][:, :-1]
    high, low = (1 << (op.state_bits - 1)) - 1, -(1 << (op.state_bits - 1))
    if isinstance(op, p.AdLIF):
        product = op.decay * (a + b)
        u = rshift(product, op.decay_shift) - b + x
        clipped = np.clip(u, low, high)
        slow = op.adaptation_decay * b + op.sensitivity * clipped
        adapted = rshift(slow, op.adaptation_shift) + fired * op.jump
        parts = {
            **rounding("decay", product, op.decay_shift),
            **rounding("adaptation", slow, op.adaptation_shift),
            **saturation("v", clipped - fired * op.reset, op.state_bits),
            **saturation("w", adapted, op.state_bits),
            "jump below 0": (op.jump < 0) & (fired == 1),
            "jump above 0": (op.jump > 0) & (fired == 1),
            "sensitivity below 0": (op.sensitivity < 0) & (clipped != 0),
            "reset below 0": (op.reset < 0) & (fired == 1),
        }
        del parts["decay shifted left"], parts["adaptation shifted left"]
    else:
        re, im = op.a_re * a - op.a_im * b, op.a_im * a + op.a_re * b
        u, v = rshift(re, op.pole_shift) + x, rshift(im, op.pole_shift)
        clipped = np.clip(u, low, high)
        turned = np.clip(v, low, high)
        parts = {
            **rounding("turn", np.stack([re, im]), op.pole_shift),
            **saturation("u_im", v, op.state_bits),
            **saturation("state_re", clipped - fired * op.reset_re, op.state_bits),
            **saturation("state_im", turned - fired * op.reset_im, op.state_bits),
            "imaginary reset": (op.reset_im != 0) & (fired == 1),
            "outside the unit circle": (op.a_re**2 + op.a_im**2 > 1 << 2 * op.pole_shift)
            & (x == x),
        }
        del parts["turn shifted left"]
    return {
        "fires": fired == 1,
        "silent": fired == 0,
        "at the threshold": clipped == op.threshold,
        "one above": clipped == op.threshold + 1,
        "fires twice in a row": (fired[:, 1:] == 1) & (fired[:, :-1] == 1),
        "threshold below 0": (op.threshold < 0) & (x == x),
        **parts,
        **saturation("u", u, op.state_bits),
    }


def _softmax(op: p.Softmax, x: np.ndarray) -> Parts:
    product = (x.max(axis=-1, keepdims=True) - x) * op.scale
    t = rshift(product, op.scale_shift)
    n, fraction = t >> 14, t & 0x3FFF
    i, r = fraction >> 8, fraction & 0xFF
    raw = op.table[i] * (65536 - rshift(710 * r, 8))
    e = rshift(raw, np.minimum(n + 16, 62))
    total = e.sum(axis=-1, keepdims=True)
    bits = np.vectorize(lambda n: int(n).bit_length())(total)
    root = 2960686 - rshift(1973790 * rshift(total, bits - 28), 28)
    for _ in range(3):
        root = rshift(root * (2097152 - rshift(rshift(total, bits - 28) * root, 28)), 20)
    parts = {
        "the greatest": t == 0,
        "in the first entry": (i == 0) & (t > 0),
        "in the last entry": i == 63,
        "at an entry": (r == 0) & (t > 0),
        "the last before an entry": r == 255,
        "halved": n > 0,
        "nothing left": e == 0,
        "shifted by 62": n >= 46,
        "the sum is one alone": np.broadcast_to(total == 1 << 24, x.shape),
        "the sum is shifted left": np.broadcast_to(bits < 28, x.shape),
        "the sum is shifted right": np.broadcast_to(bits > 28, x.shape),
        **rounding("distance", product, op.scale_shift),
        **rounding("power", raw, np.minimum(n + 16, 62)),
        **rounding("share", e * root, bits),
        **saturation("output", rshift(e * root, bits), op.out.bits),
    }
    impossible = [
        *(f"{name} {how}" for name in ("distance", "power", "share") for how in _BELOW_ZERO),
        *(f"{name} not shifted" for name in ("power", "share")),
        *(f"output {how}" for how in ("at the lower limit", "clipped from below")),
        "output one below the limit",
    ]
    return {name: where for name, where in parts.items() if name not in impossible}


_BELOW_ZERO = ("shifted left", "half below 0")
"""What a rounding of numbers that are not negative never does."""


def _spike(op: p.Spike, x: np.ndarray) -> Parts:
    return {
        "above the threshold": x > op.threshold,
        "at the threshold": x == op.threshold,
        "below the threshold": x < op.threshold,
        "one above": x == op.threshold + 1,
        "threshold below 0": (op.threshold < 0) & (x == x),
        "threshold 0": (op.threshold == 0) & (x == x),
        "threshold above 0": (op.threshold > 0) & (x == x),
    }


def _ternary(op: p.Ternary, x: np.ndarray) -> Parts:
    high, low = op.threshold, -op.threshold
    return {
        "+1": x > high,
        "-1": x < low,
        "0": (x <= high) & (x >= low),
        "at the upper threshold": (x == high) & (high > 0),
        "at the lower threshold": (x == low) & (high > 0),
        "one above": x == high + 1,
        "one below": x == low - 1,
        "threshold 0, input 0": (high == 0) & (x == 0),
        "threshold 0, input not 0": (high == 0) & (x != 0),
    }


def _peak_ternary(op: p.PeakTernary, x: np.ndarray) -> Parts:
    largest = np.abs(x).max(axis=2, keepdims=True)
    product = op.factor * largest
    high = product >> op.shift
    rest = product - (high << op.shift)
    return {
        "+1": x > high,
        "-1": x < -high,
        "0": np.abs(x) <= high,
        "at the upper threshold": (x == high) & (high > 0),
        "at the lower threshold": (x == -high) & (high > 0),
        "one above": x == high + 1,
        "one below": x == -high - 1,
        "threshold exact": (rest == 0) & (largest > 0),
        "threshold rounded down": rest > 0,
        "the largest above 0": (x == largest) & (x > 0),
        "the largest below 0": (x == -largest) & (x < 0),
        "the largest of both signs": (x.max(2) == -x.min(2)) & x.any(2),
        "the largest is the lower limit": (x == x.min()) & (x == -largest) & (x < -x.max()),
        "nothing at all": largest == 0,
        "factor 0, input not 0": (op.factor == 0) & (x != 0),
        "factor 1": (op.factor == 1 << op.shift) & (largest > 0),
        "shift 0": (op.shift == 0) & (x == x),
        "one channel": np.full(x.shape, x.shape[2] == 1),
    }


def _table(op: p.Table, x: np.ndarray) -> Parts:
    last = op.base.size - 1
    distance = x - op.origin
    at = distance >> op.width
    i = np.minimum(np.maximum(at, 0), last)
    rest = distance - i * (1 << op.width)
    product = op.slope[i] * rest
    value = op.base[i] + rshift(product, op.slope_shift)
    return {
        "left of the first segment": at < 0,
        "in the first segment": at == 0,
        "in a segment between": (at > 0) & (at < last),
        "in the last segment": (at == last) & (last > 0),
        "right of the last segment": at > last,
        "one left of the first": distance == -1,
        "first integer right of the last": distance == (last + 1) << op.width,
        "at a breakpoint": (rest == 0) & (at > 0) & (at <= last),
        "last integer before a breakpoint": (rest == (1 << op.width) - 1) & (at < last),
        "one segment only": np.full(x.shape, last == 0),
        "segments one integer wide": np.full(x.shape, op.width == 0),
        "slope below 0": op.slope[i] < 0,
        "slope 0": op.slope[i] == 0,
        "slope above 0": op.slope[i] > 0,
        **rounding("rise", product, op.slope_shift),
        **saturation("output", value, op.out.bits),
    }


def _product(op: p.Product, x: np.ndarray, y: np.ndarray) -> Parts:
    product = x * y
    return {
        "+ times +": (x > 0) & (y > 0),
        "- times +": ((x < 0) & (y > 0)) | ((x > 0) & (y < 0)),
        "- times -": (x < 0) & (y < 0),
        "a factor 0": product == 0,
        **rounding("product", product, op.shift),
        **saturation("output", rshift(product, op.shift), op.out.bits),
    }


def _add(op: p.Add, x: np.ndarray, y: np.ndarray) -> Parts:
    return {
        "signs agree": x * y > 0,
        "signs differ": x * y < 0,
        "cancels": (x + y == 0) & (x != 0),
        "a tensor to itself": np.full(x.shape, op.inputs[0] == op.inputs[1]),
        **saturation("output", x + y, op.out.bits),
    }


def bit_length(value: np.ndarray) -> np.ndarray:
    """Return the bits of each integer of 0 or more."""
    lengths = [int(v).bit_length() for v in value.flat]
    return np.array(lengths, np.int64).reshape(value.shape)


def _layernorm(op: p.LayerNorm, x: np.ndarray) -> Parts:
    d = x.shape[2] * x - x.sum(axis=2, keepdims=True)
    largest = np.abs(d).max(axis=2, keepdims=True)
    right = np.maximum(0, bit_length(largest) - 20)
    narrow = rshift(d, right)
    eps = op.eps >> np.minimum(2 * right, 62)
    power = (narrow**2).sum(axis=2, keepdims=True) + eps
    some = power > 0
    bits = bit_length(power)
    p_ = (bits + 1) // 2 - 14
    scaled = np.where(some, np.maximum(power, 1), 1)
    v = rshift(scaled, 2 * p_)
    root = 139592 - rshift(79299 * v, 28)
    for _ in range(3):
        root = rshift(root * (196608 - rshift(v * rshift(root * root, 16), 28)), 17)
    normal = np.where(some, rshift(narrow * root, 10 + p_), 0)
    product = op.gain * normal
    value = rshift(product, op.shift) + op.offset
    parts = {
        "nothing deviates, eps 0": ~some,
        "nothing deviates, eps above 0": (largest == 0) & some,
        "eps shifted to 0": (op.eps > 0) & (eps == 0),
        "eps counts": (eps > 0) & (largest > 0),
        "eps 0": (op.eps == 0) & some,
        "deviations not shifted": (right == 0) & some,
        "sum of squares of even length": some & (bits % 2 == 0),
        "sum of squares of odd length": some & (bits % 2 == 1),
        "sum of squares shifted left": some & (p_ < 0),
        "sum of squares not shifted": some & (p_ == 0),
        "sum of squares shifted right": some & (p_ > 0),
        "root at its largest, v = 2^26": some & (v == 1 << 26),
        "root at its smallest, v = 2^28": some & (v == 1 << 28),
        "one channel": np.full(x.shape, x.shape[2] == 1),
        **rounding("product", product, op.shift),
        **saturation("output", value, op.out.bits),
    }
    parts |= only_right(rounding("deviation", d, right))
    steps = rounding("normalised", narrow * root, 10 + p_)
    return parts | {name: some & where for name, where in steps.items()}


def _readout(op: p.Readout, x: np.ndarray, logits: np.ndarray) -> Parts:
    n = x.shape[1]
    z = x.sum(axis=1) @ op.weight.T + op.bias * n  # (B, classes)
    size = n << op.shift
    rest = z % size
    value = (2 * z + size) // (2 * size)
    best = logits.max(axis=1, keepdims=True)
    return {
        "mean exact": rest == 0,
        "mean rounded down": (rest > 0) & (2 * rest < size),
        "mean rounded up": 2 * rest > size,
        "mean half above 0": (2 * rest == size) & (z > 0),
        "mean half below 0": (2 * rest == size) & (z < 0),
        "mean below 0": z < 0,
        "one step": np.full(z.shape, n == 1),
        "steps a power of two": np.full(z.shape, n > 1 and n & (n - 1) == 0),
        "steps no power of two": np.full(z.shape, n & (n - 1) != 0),
        "as many steps as allowed": np.full(z.shape, n == op.max_steps),
        "shift 0": np.full(z.shape, op.shift == 0),
        "shift above 0": np.full(z.shape, op.shift > 0),
        "bias below 0": (op.bias < 0) & (z == z),
        "one class": np.full(z.shape, z.shape[1] == 1),
        "equal largest logits": ((logits == best).sum(axis=1) > 1) & (n > 0),
        **saturation("logit", value, op.out.bits),
    }


def _pooled(op: p.Readout, x: np.ndarray) -> Parts:
    kept = {"max": x.max(axis=1), "last": x[:, -1], "none": x}[op.pool]
    z = kept @ op.weight.T + op.bias  # (B, classes), or (B, L, classes)
    size = 1 << op.shift
    rest = z % size
    parts = {
        "exact": rest == 0,
        "rounded down": (rest > 0) & (2 * rest < size),
        "rounded up": 2 * rest > size,
        "half above 0": (2 * rest == size) & (z > 0),
        "half below 0": (2 * rest == size) & (z < 0),
        "one step": np.full(z.shape, x.shape[1] == 1),
        "some steps": np.full(z.shape, x.shape[1] > 1),
        "shift 0": np.full(z.shape, op.shift == 0),
        "shift above 0": np.full(z.shape, op.shift > 0),
        "bias below 0": (op.bias < 0) & (z == z),
        **saturation("logit", (2 * z + size) // (2 * size), op.out.bits),
    }
    if op.pool == "max" and x.shape[1] > 1:
        first = x.argmax(axis=1)
        parts["largest at first"] = (first == 0) & (x[:, 0] > x[:, -1])
        parts["largest in between"] = (first > 0) & (first < x.shape[1] - 1)
        parts["largest at last"] = first == x.shape[1] - 1
        parts["largest below 0"] = kept < 0
    return parts


_OTHERS: dict[type, Callable[..., Parts]] = {
    p.Embedding: _embedding,
    p.Affine: _affine,
    p.Relu: _relu,
    p.Spike: _spike,
    p.Ternary: _ternary,
    p.PeakTernary: _peak_ternary,
    p.Table: _table,
    p.Product: _product,
    p.Add: _add,
    p.LayerNorm: _layernorm,
    p.Softmax: _softmax,
}
