"""What a plan is made of: the operations of a program or the nodes of a float graph, by their part.

What Lava's `Dense` cannot do exactly is refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from neurossm import program as ops
from neurossm.errors import InputError, LimitError, UnsupportedError
from neurossm.graph import nodes
from neurossm.graph.graph import Graph
from neurossm.lava.stepping import Member
from neurossm.naming import part_of

MANTISSA_BITS = 8
"""Width of the weights that Lava's `Dense` keeps exactly (see `stages.dense`)."""
ACCUMULATOR_BITS = 32
MESSAGE_BITS = 32


@dataclass(frozen=True, eq=False)
class Parts:
    """A network's members, in an order in which each comes after those it reads.

    Parameters
    ----------
    source
        Where the data come in.
    inner
        What is computed at every step, matrix products included.
    decoder
        What is computed at the end of a sample; nothing in a network that ends before.
    channels
        Of every member but the decoder.
    message_bits
        Width of every member's messages, as `Dense` needs to know it; 0 for single bits.
    tag
        Which models compute it.
    """

    source: Member
    inner: tuple[Member, ...]
    decoder: tuple[Member, ...]
    channels: Mapping[str, int]
    message_bits: Mapping[str, int]
    tag: str

    @cached_property
    def readers(self) -> Mapping[str, tuple[Member, ...]]:
        """The members that read each tensor."""
        found: dict[str, list[Member]] = {item.name: [] for item in (self.source, *self.inner)}
        for item in (*self.inner, *self.decoder[:1]):
            for name in dict.fromkeys(item.inputs):
                found[name].append(item)
        return {name: tuple(items) for name, items in found.items()}

    def up_to(self, tensor: str) -> Parts:
        """Return the parts that a tensor follows from, without a decoder.

        Raises
        ------
        InputError
            The network makes no such tensor at every step.
        """
        makers = {item.name: item for item in self.inner}
        if tensor not in makers:
            raise InputError(f"output: {tensor!r} is none of {', '.join(makers)}")
        needed, waiting = {tensor}, [tensor]
        while waiting:
            inputs = makers[waiting.pop()].inputs
            new = [name for name in inputs if name in makers and name not in needed]
            needed.update(new)
            waiting += new
        inner = tuple(item for item in self.inner if item.name in needed)
        return replace(self, inner=inner, decoder=())


def is_matrix(item: Member) -> bool:
    """Tell whether Lava's Dense computes this."""
    return isinstance(item, ops.Dense | nodes.LinearNode)


def parts_of_program(program: ops.Program) -> Parts:
    """Return the parts of an integer program.

    Raises
    ------
    LimitError
        A weight is wider than Dense's mantissa, or a sum could wrap its accumulator.
    """
    for op in program.ops:
        if isinstance(op, ops.Dense):
            _check_dense(op, *program.sources(op))
    source, *inner, decoder = program.ops
    bits = {op.name: _message_bits(op) for op in (source, *inner)}
    channels = {op.name: op.out.channels for op in (source, *inner)}
    return Parts(source, tuple(inner), (decoder,), channels, bits, "fixed_pt")


def _message_bits(op: ops.Op) -> int:
    """Return the width of messages; 0 for spikes of one bit, which is what Lava calls them."""
    return 0 if op.emits == "spikes" and op.message_bits == 1 else op.message_bits


def _check_dense(op: ops.Dense, source: ops.Op) -> None:
    low, high = ops.limits(MANTISSA_BITS)
    if op.weight.min() < low or op.weight.max() > high:
        worst = op.weight.flat[np.abs(op.weight).argmax()]
        raise LimitError(
            f"{op.name}: weight {worst} does not fit the {MANTISSA_BITS} bits of Lava's Dense, "
            f"[{low}, {high}]; compile with 8-bit weights"
        )
    # Dense sums twice the mantissas in int32 and wraps without a word.
    reach = 2 * (np.abs(op.weight) @ source.out.interval.largest()).max()
    if reach >= 1 << (ACCUMULATOR_BITS - 1):
        raise LimitError(
            f"{op.name}: sums can reach {reach}, which wraps Lava's {ACCUMULATOR_BITS}-bit "
            f"accumulator; give {source.name} fewer bits"
        )


def parts_of_graph(graph: Graph) -> Parts:
    """Return the parts of a float graph; a Linear becomes a matrix product and a bias.

    Raises
    ------
    UnsupportedError
        The graph does not end in one pool over time and functions of it.
    """
    sizes = graph.channels()
    inner: list[Member] = []
    decoder: list[Member] = []
    for node in graph.nodes[1:]:
        if isinstance(node, nodes.PoolNode) or any(d.name in node.inputs for d in decoder):
            decoder.append(node)
        elif isinstance(node, nodes.LinearNode):
            product = part_of(node.name, "product")
            zero, one = np.zeros_like(node.bias), np.ones_like(node.bias)
            inner.append(nodes.LinearNode(product, node.inputs, node.weight, zero))
            inner.append(nodes.AffineNode(node.name, (product,), one, node.bias))
            sizes[product] = sizes[node.name]
        else:
            inner.append(node)
    _check_decoder(graph, decoder)
    source = graph.input
    bits = dict.fromkeys([source.name, *(item.name for item in inner)], MESSAGE_BITS)
    channels = {name: sizes[name] for name in bits}
    return Parts(source, tuple(inner), tuple(decoder), channels, bits, "floating_pt")


def _check_decoder(graph: Graph, decoder: list[Member]) -> None:
    pools = [node.name for node in decoder if isinstance(node, nodes.PoolNode)]
    if len(pools) != 1 or decoder[0].name != pools[0] or decoder[-1].name != graph.output.name:
        raise UnsupportedError(
            f"{graph.output.name}: Lava runs graphs that end in one pool over time and functions "
            "of it; evaluate the graph without Lava"
        )
