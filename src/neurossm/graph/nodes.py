"""The float graph's nodes: one frozen dataclass per operation, with its equation and shapes.

Every node has one output tensor, named as the node, of shape (B, L, channels): batch, time steps,
channels. `H` is the number of channels (`d_model`), `N` the number of complex modes per channel.
All arithmetic is float64 (complex128 inside the SSM).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurossm.arrays import ComplexArray, FloatArray, freeze
from neurossm.errors import InputError

INPUT_KINDS = ("uint8", "tokens", "float")


@dataclass(frozen=True, eq=False)
class Node:
    """What every node has: a unique name and the names of the nodes it reads."""

    name: str
    inputs: tuple[str, ...]
    arity: ClassVar[int] = 1

    def __post_init__(self) -> None:
        """Check the number of inputs."""
        if len(self.inputs) != self.arity:
            raise InputError(
                f"{self.name}: {type(self).__name__} reads {self.arity} tensors, not {len(self.inputs)}"
            )

    def channels(self, *sizes: int) -> int:
        """Return the number of output channels for inputs of these numbers of channels."""
        return sizes[0]


@dataclass(frozen=True, eq=False)
class Input(Node):
    """The data: `x = scale * data`.

    `kind` is "uint8" (0 to 255), "tokens" (indices below `size`) or "float" (within [low, high]).
    `size` is the number of input channels, or the size of the vocabulary.
    """

    kind: str
    size: int
    low: float
    high: float
    scale: float
    arity: ClassVar[int] = 0

    def __post_init__(self) -> None:
        """Check the kind, the size and the range."""
        super().__post_init__()
        if self.kind not in INPUT_KINDS:
            raise InputError(
                f"{self.name}: input kind {self.kind!r}, expected one of {INPUT_KINDS}"
            )
        if self.size < 1:
            raise InputError(f"{self.name}: size {self.size}, must be at least 1")
        if not np.isfinite([self.low, self.high, self.scale]).all() or self.low >= self.high:
            raise InputError(f"{self.name}: range [{self.low}, {self.high}] is empty or not finite")

    def channels(self, *sizes: int) -> int:
        """Tokens are one index per step."""
        return 1 if self.kind == "tokens" else self.size


@dataclass(frozen=True, eq=False)
class Linear(Node):
    """`y = W x + b`, with `weight` (O, I) and `bias` (O)."""

    weight: FloatArray
    bias: FloatArray

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "weight", np.float64, (None, None))
        freeze(self, "bias", np.float64, (self.weight.shape[0],))

    def channels(self, *sizes: int) -> int:
        """Return O."""
        _expect(self, sizes[0], self.weight.shape[1])
        return self.weight.shape[0]


@dataclass(frozen=True, eq=False)
class Embedding(Node):
    """`y = weight[token]`, with `weight` (V, H)."""

    weight: FloatArray

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "weight", np.float64, (None, None))

    def channels(self, *sizes: int) -> int:
        """Return H."""
        _expect(self, sizes[0], 1)
        return self.weight.shape[1]


@dataclass(frozen=True, eq=False)
class BatchNorm(Node):
    """`y = gain (x - mean) / sqrt(var + eps) + bias`, all (H): batch normalisation in evaluation."""

    mean: FloatArray
    var: FloatArray
    gain: FloatArray
    bias: FloatArray
    eps: float

    def __post_init__(self) -> None:
        """Check shapes and that the variance is not negative."""
        super().__post_init__()
        freeze(self, "mean", np.float64, (None,))
        for field in ("var", "gain", "bias"):
            freeze(self, field, np.float64, self.mean.shape)
        if (self.var + self.eps <= 0).any():
            raise InputError(f"{self.name}: variance + eps is not positive")

    def channels(self, *sizes: int) -> int:
        """Return H."""
        _expect(self, sizes[0], self.mean.size)
        return sizes[0]


@dataclass(frozen=True, eq=False)
class LayerNorm(Node):
    """`y = gain (x - mean_h x) / sqrt(var_h x + eps) + bias`, statistics over the channels."""

    gain: FloatArray
    bias: FloatArray
    eps: float

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "gain", np.float64, (None,))
        freeze(self, "bias", np.float64, self.gain.shape)

    def channels(self, *sizes: int) -> int:
        """Return H."""
        _expect(self, sizes[0], self.gain.size)
        return sizes[0]


@dataclass(frozen=True, eq=False)
class Affine(Node):
    """`y = scale x + shift`, both (H)."""

    scale: FloatArray
    shift: FloatArray

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "scale", np.float64, (None,))
        freeze(self, "shift", np.float64, self.scale.shape)

    def channels(self, *sizes: int) -> int:
        """Return H."""
        _expect(self, sizes[0], self.scale.size)
        return sizes[0]


@dataclass(frozen=True, eq=False)
class SSM(Node):
    """Diagonal state-space model, discretised.

    `s_t = A_bar s_{t-1} + B_bar u_t`, `y_t = 2 Re(sum_n C_n s_{t,n}) + D u_t`, `s_{-1} = 0`,
    with `A_bar`, `B_bar`, `C` complex (H, N) and `D` (H). Stable: every `|A_bar| < 1`.
    """

    A_bar: ComplexArray
    B_bar: ComplexArray
    C: ComplexArray
    D: FloatArray

    def __post_init__(self) -> None:
        """Check shapes and stability."""
        super().__post_init__()
        freeze(self, "A_bar", np.complex128, (None, None))
        for field in ("B_bar", "C"):
            freeze(self, field, np.complex128, self.A_bar.shape)
        freeze(self, "D", np.float64, self.A_bar.shape[:1])
        radius = np.abs(self.A_bar)
        if (radius >= 1).any():
            h, n = np.unravel_index(int(radius.argmax()), radius.shape)
            raise InputError(
                f"{self.name}: pole of channel {h}, mode {n} has |A_bar| = {radius[h, n]:.9g}; "
                "a stable SSM needs |A_bar| < 1"
            )

    def channels(self, *sizes: int) -> int:
        """Return H."""
        _expect(self, sizes[0], self.A_bar.shape[0])
        return sizes[0]


@dataclass(frozen=True, eq=False)
class Spike(Node):
    """`y = 1 if x > threshold else 0`, threshold (H)."""

    threshold: FloatArray

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "threshold", np.float64, (None,))

    def channels(self, *sizes: int) -> int:
        """Return H."""
        _expect(self, sizes[0], self.threshold.size)
        return sizes[0]


@dataclass(frozen=True, eq=False)
class Ternary(Node):
    """`y = [x > d] - [-x > d]`, with the static threshold `d = threshold` (H).

    Where `threshold` is None, `d = factor * max_h |x_h|`, anew at every step.
    """

    threshold: FloatArray | None
    factor: float

    def __post_init__(self) -> None:
        """Check that the threshold is not negative."""
        super().__post_init__()
        if self.threshold is not None:
            freeze(self, "threshold", np.float64, (None,))
            if (self.threshold < 0).any():
                raise InputError(f"{self.name}: negative threshold {self.threshold.min():.6g}")

    def channels(self, *sizes: int) -> int:
        """Return H."""
        if self.threshold is not None:
            _expect(self, sizes[0], self.threshold.size)
        return sizes[0]


@dataclass(frozen=True, eq=False)
class Sigmoid(Node):
    """`y = 1 / (1 + exp(-x))`."""


@dataclass(frozen=True, eq=False)
class GELU(Node):
    """`y = x Phi(x)`, with the exact normal distribution function."""


@dataclass(frozen=True, eq=False)
class PiecewiseLinear(Node):
    """`y = base_i + slope_i (x - knot_i)` on segments of equal width, a power of two.

    Segment i is `floor((x - start) / 2**-width_log2)` clamped to the table, `knot_i` its left end;
    the first and the last segment extend without limit. `function` names what it stands for and
    `max_error` is the largest absolute difference from it over all real x.
    """

    function: str
    start: float
    width_log2: int
    base: FloatArray
    slope: FloatArray
    max_error: float

    def __post_init__(self) -> None:
        """Check shapes."""
        super().__post_init__()
        freeze(self, "base", np.float64, (None,))
        freeze(self, "slope", np.float64, self.base.shape)


@dataclass(frozen=True, eq=False)
class Product(Node):
    """`z = x y`, elementwise."""

    arity: ClassVar[int] = 2

    def channels(self, *sizes: int) -> int:
        """Return H."""
        _expect(self, sizes[1], sizes[0])
        return sizes[0]


@dataclass(frozen=True, eq=False)
class Add(Node):
    """`z = x + y`, elementwise: the residual connection."""

    arity: ClassVar[int] = 2

    def channels(self, *sizes: int) -> int:
        """Return H."""
        _expect(self, sizes[1], sizes[0])
        return sizes[0]


@dataclass(frozen=True, eq=False)
class Mean(Node):
    """Mean over all time steps: (B, L, H) becomes (B, H)."""


def _expect(node: Node, got: int, wanted: int) -> None:
    if got != wanted:
        raise InputError(f"{node.name}: reads {got} channels from {node.inputs}, expected {wanted}")


NODE_TYPES: dict[str, type[Node]] = {
    kind.__name__: kind
    for kind in (
        Input,
        Linear,
        Embedding,
        BatchNorm,
        LayerNorm,
        Affine,
        SSM,
        Spike,
        Ternary,
        Sigmoid,
        GELU,
        PiecewiseLinear,
        Product,
        Add,
        Mean,
    )
}
