"""Quantisation-aware training: the compiler's grids under a network while it trains.

The compiler itself, run on the network as it is, says what one step of every integer is worth:
once before training and at the start of each epoch. Between, every forward pass puts weights,
poles, C and D on these grids and evaluates sigmoids by the tables; gradients pass straight
through. What is saved stands on the grid, so that the compiler finds nothing left to round.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from neurossm.arrays import ComplexArray, FloatArray
from neurossm.compile import CompileOptions, prepare
from neurossm.compile.options import DEFAULT_TARGET
from neurossm.compile.poles import prepare_poles
from neurossm.compile.precision import load_precision
from neurossm.compile.scaling import largest_mantissa
from neurossm.datafile import Data
from neurossm.errors import FormatError, InputError
from neurossm.graph import PiecewiseLinearNode, SSMNode
from neurossm.models.export import export
from neurossm.models.gated import GatedMixer
from neurossm.models.grids import GateTable, SSMGrid
from neurossm.models.network import Network
from neurossm.models.response import Response, rebuilt, response_of
from neurossm.program import SSM, Program
from neurossm.train.saved_state import is_like
from neurossm.train.tasks import Samples

CALIBRATION_SAMPLES = 64
DOUBLE = torch.float64
_ROUNDS = 4
"""So often at most the grids are taken from the rounded network."""


@dataclass(frozen=True, eq=False)
class Quantiser:
    """What a network is trained for: the widths of a program, and the data that calibrate it.

    Parameters
    ----------
    options
        Of the compilation.
    target
        Name of the hardware profile.
    calibration
        Samples for calibrated scaling.
    """

    options: CompileOptions
    target: str
    calibration: Data

    @staticmethod
    def of(precision: str | None, train: Samples, target: str = DEFAULT_TARGET) -> Quantiser:
        """Return what a precision file asks for; None for the compiler's own widths."""
        options = CompileOptions(rounding="nearest")
        if precision is not None:
            options = load_precision(precision).applied(options)
        first = train.take(slice(CALIBRATION_SAMPLES))
        lengths = None if first.lengths is None else first.lengths.cpu().numpy()
        return Quantiser(options, target, Data(first.x.cpu().numpy(), lengths=lengths))

    def begin(self, network: Network) -> Network:
        """Return a network to put grids on, from one as it was trained.

        Every channel has poles of its own on the grid, and C is fitted to them, as the compiler
        does. Parameters keep their type.

        Raises
        ------
        InputError
            A threshold that no static one stands for yet.
        """
        if network.config.layer == "gsu" and network.config.threshold == "dynamic":
            raise InputError(
                "qat: the model compares with the largest of all channels at each step; train "
                "with --threshold static"
            )
        nodes = [node for node in export(network).nodes if isinstance(node, SSMNode)]
        return rebuilt(network, [self._settled(node) for node in nodes])

    def _settled(self, node: SSMNode) -> Response:
        widths = self.options.widths_of(node.layer)
        folded = replace(node, B_bar=np.ones_like(node.B_bar), C=node.C * node.B_bar)
        poles = prepare_poles(folded, widths.pole, self.options.pole_margin_log2)
        scale: FloatArray = np.exp2(-poles.shift.astype(np.float64))
        exact: ComplexArray = np.asarray(scale * (poles.a_re + 1j * poles.a_im), np.complex128)
        return Response(exact, poles.C, node.D)

    def refresh(self, networks: Sequence[Network]) -> None:
        """Take the grids anew from the program of the first network; put them on all.

        A network that has none must be where it is to be trained.
        """
        self._put_all(networks, self.compiled(networks[0]))

    def _put_all(self, networks: Sequence[Network], program: Program) -> None:
        for network in networks:
            device = next(network.parameters()).device
            encoder = self.options.widths_of("encoder").weight
            network.encoder_limit = largest_mantissa(encoder)
            for index, block in enumerate(network.blocks):
                self._put(block.mixer, program, f"blocks.{index}", device)

    def compiled(self, network: Network) -> Program:
        """Return the program of a network whose poles are on the grid."""
        plain = rebuilt(network, [_unrounded(block.mixer.ssm) for block in network.blocks], DOUBLE)
        return prepare(plain, *self._how).compile()

    def _put(self, mixer: Any, program: Program, layer: str, device: torch.device) -> None:
        widths = self.options.widths_of(layer)
        mixer.weight_limit = largest_mantissa(widths.weight)
        op = program[f"{layer}.ssm"]
        assert isinstance(op, SSM)
        unit, direct = units(op, program)
        width = mixer.ssm.A_imag.shape[1]
        spread = np.ones((len(unit), width))
        spread[:, : unit.shape[1]] = unit[:, :width]
        grid = mixer.ssm.grid
        if grid is None:
            grid = SSMGrid(
                widths.pole,
                self.options.pole_margin_log2,
                _tensor(spread, device),
                _tensor(direct, device),
                largest_mantissa(widths.readout),
            )
            mixer.ssm.grid = grid
        else:  # in place: a captured step reads them there
            grid.unit.copy_(_tensor(spread, device))
            grid.direct_unit.copy_(_tensor(direct, device))
        if isinstance(mixer, GatedMixer) and mixer.table is None:
            mixer.table = _table(program, layer, mixer.dense.weight)

    def state(self, network: Network) -> list[torch.Tensor]:
        """Return the units of all grids, to go on with them."""
        grids = [block.mixer.ssm.grid for block in network.blocks]
        return [u.cpu().clone() for grid in grids for u in (grid.unit, grid.direct_unit)]

    def restore(self, network: Network, state: Any) -> None:
        """Put units that `state` returned back; FormatError where they are no such units."""
        own = self.state(network)
        good = isinstance(state, list) and len(state) == len(own)
        if not good or not all(map(is_like, state, own)):
            raise FormatError("grids is missing, damaged, or of another training")
        for number, block in enumerate(network.blocks):
            grid = block.mixer.ssm.grid
            grid.unit.copy_(state[2 * number])
            grid.direct_unit.copy_(state[2 * number + 1])

    def finished(self, network: Network) -> Network:
        """Return what `rounded` does, at the end of a training.

        Ranges of calibrated scaling follow from the rounded network itself, so grids are taken
        anew until they are those of what is returned.
        """
        for _ in range(_ROUNDS):
            made = self.rounded(network)
            before = self.state(network)
            self._put_all([network], prepare(made, *self._how).compile())
            if all(map(torch.equal, before, self.state(network))):
                break
        return made

    @property
    def _how(self) -> tuple[str, CompileOptions, Data]:
        return self.target, self.options, self.calibration

    def rounded(self, network: Network) -> Network:
        """Return a network without grids whose parameters stand on them, in double precision."""
        made = rebuilt(network, [response_of(block.mixer.ssm) for block in network.blocks], DOUBLE)
        with torch.no_grad():
            for own, block in zip(network.blocks, made.blocks, strict=True):
                weight = own.mixer.mixing_weight()
                place = block.mixer.dense if isinstance(own.mixer, GatedMixer) else block.mixer
                place.weight.copy_(weight)
            made.encoder.weight.copy_(network.encoder_weight())
        return made


def units(op: SSM, program: Program) -> tuple[FloatArray, FloatArray]:
    """Return what one step of an SSM's integer C (H, N) and D (H) is worth."""
    drive = program[op.inputs[0]].out.exponent
    exponent = op.out.exponent + op.readout_shift - drive
    unit = np.ldexp(1.0, (op.input_shift - exponent[:, None]).astype(np.int32))
    finer = np.where(op.d == 0, 0, op.d_shift - op.readout_shift)
    return unit, np.ldexp(1.0, -(exponent + finer).astype(np.int32))


@torch.no_grad()
def _unrounded(ssm: Any) -> Response:
    """Return a layer's response with poles on the grid, C and D as they are."""
    a_bar, b_bar = ssm.discretise()
    poles = a_bar if ssm.grid is None else ssm.grid.poles(a_bar)
    weights = 2 * b_bar * ssm.readout()
    parts: list[NDArray[Any]] = [p.cpu().numpy() for p in (poles, weights, ssm.D.double())]
    return Response(*parts)


def _tensor(values: FloatArray, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(values).to(device)


def _table(program: Program, layer: str, like: torch.Tensor) -> GateTable | None:
    """Return the table of a layer's sigmoid."""
    for node in program.graph.nodes:
        if isinstance(node, PiecewiseLinearNode) and node.layer == layer and "sigmoid" in node.name:
            base, slope = (torch.from_numpy(v.copy()).to(like) for v in (node.base, node.slope))
            return GateTable(node.start, 2.0**-node.width_log2, base, slope)
    return None
