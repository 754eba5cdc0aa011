"""Networks of netx's files, in which programs of ours are layers."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from lava.magma.core.decorator import implements, tag
from lava.magma.core.model.sub.model import AbstractSubProcessModel
from lava.magma.core.process.ports.ports import InPort, OutPort
from lava.magma.core.process.process import AbstractProcess
from lava.magma.core.sync.protocols.loihi_protocol import LoihiProtocol

from neurossm.errors import InputError
from neurossm.lava.engine import plan_program
from neurossm.lava.netx_program import program_of
from neurossm.lava.processes.network.process import NetworkProcess
from neurossm.lava.schedule import ENDLESS, Schedule
from neurossm.storage.netx import OURS, check_layers

with contextlib.redirect_stdout(io.StringIO()):  # it tells of cameras that are not here
    from lava.lib.dl.netx.hdf5 import Network


class ProgramBlock(AbstractProcess):  # type: ignore[misc]
    """A program as a block of netx's, with ports `inp` and `out`."""

    def __init__(self, layer: Any, schedule: Schedule, name: str) -> None:
        super().__init__(name=name)
        output = layer.f["output"][()].decode() if "output" in layer.f else None
        plan = plan_program(program_of(layer.f["program"][()]), output)
        self.neuron = NetworkProcess(plan, schedule=schedule, name=f"{name}/program")
        self.shape = self.neuron.s_out.shape
        self.output_message_bits = self.neuron.s_out.bits if not self.neuron.s_out.binary else 0
        self.inp = InPort(shape=self.neuron.a_in.shape)
        self.out = OutPort(shape=self.neuron.s_out.shape)
        self.inp.connect(self.neuron.a_in)
        self.neuron.s_out.connect(self.out)


@implements(proc=ProgramBlock, protocol=LoihiProtocol)
@tag("fixed_pt")
class ProgramBlockModel(AbstractSubProcessModel):  # type: ignore[misc]
    """Nothing more: Lava finds what the block has made and connected, as in netx's own blocks."""

    def __init__(self, proc: ProgramBlock) -> None:
        pass


class NetxNetwork(Network):  # type: ignore[misc]
    """A network of a netx file, whose layers may be programs of ours.

    Parameters
    ----------
    net_config : path
        The file.
    reset_interval : int, optional
        Steps of a sample. Neurons of netx's, other than sigma-delta ones, and programs begin anew
        after so many; without it they never do, and programs send no logits.
    input_message_bits : int, optional
        Of what arrives on `inp`; 0 for binary spikes, the default.
    spike_exp : int, optional
        Decimal place of graded spikes, 6 by default.
    name : str, optional
        Name of the process.

    Ports
    -----
    inp, out
        As netx's, of the shapes of its first and last layer.

    Attributes
    ----------
    layers : list
        Blocks of netx's and `ProgramBlock`.
    latency_steps : int
        Steps by which the network delays.
    """

    def __init__(
        self,
        net_config: str | Path,
        *,
        reset_interval: int | None = None,
        input_message_bits: int = 0,
        spike_exp: int = 6,
        name: str | None = None,
    ) -> None:
        check_layers(net_config)
        self._own_name = name or Path(net_config).stem
        super().__init__(
            str(net_config),
            reset_interval=reset_interval,
            input_message_bits=input_message_bits,
            spike_exp=spike_exp,
        )
        self.name = self._own_name

    def _create(self) -> list[Any]:
        """Make all blocks in order, each connected with the one before it."""
        self.latency_steps = 0
        bits, flatten = self.input_message_bits, False
        blocks: list[Any] = []
        reset: dict[str, Any] = {"reset_interval": self.reset_interval, "spike_exp": self.spike_exp}
        configs = self.net_config["layer"]
        self.net_str = self._table_str(header=True)
        for number in range(len(configs)):
            config = configs[number]
            kind = config["type"]
            depth = self.latency_steps + (kind not in ("input", OURS))
            reset["reset_offset"] = self.reset_offset + 1 + depth  # netx counts from 1
            table = None
            if kind == "flatten":
                flatten = True
                continue
            if kind == "input":
                if "neuron" not in config.f:
                    self.input_shape = tuple(config["shape"][::-1])
                    continue
                block, table = self.create_input(config, **reset)
            elif kind == "conv":
                shape = blocks[-1].shape if blocks else self.input_shape
                block, table = self.create_conv(config, shape, bits, **reset)
            elif kind == OURS:
                block = ProgramBlock(config, self._schedule(), f"{self._own_name}/{number}")
                flatten = flatten or (bool(blocks) and len(blocks[-1].shape) > 1)
            else:
                rec = kind == "dense_rec"
                block, table = self.create_dense(config, bits, rec=rec, **reset)
            if blocks:
                before = blocks[-1].out
                source = before.transpose([2, 1, 0]).flatten() if flatten else before
                self._check(number, source.shape, block.inp.shape)
                source.connect(block.inp)
            blocks.append(block)
            flatten = False
            bits = block.output_message_bits
            self.latency_steps += self._delay(kind, block)
            self.net_str += f"\n{table}" if table else f"\n|{kind:10s}| {block.shape}"
        return blocks

    def _check(self, number: int, sent: tuple[int, ...], wanted: tuple[int, ...]) -> None:
        if tuple(sent) != tuple(wanted):
            raise InputError(
                f"{self._own_name}: layer {number} reads {tuple(wanted)}, but the one before it "
                f"sends {tuple(sent)}"
            )

    def _schedule(self) -> Schedule:
        if self.reset_interval is None:
            return (
                ENDLESS
                if not self.latency_steps
                else Schedule(self.latency_steps, ENDLESS.reset_period)
            )
        return Schedule(self.latency_steps, self.reset_interval)

    @staticmethod
    def _delay(kind: str, block: Any) -> int:
        if kind == OURS:
            return int(block.neuron.latency_steps)
        return int(kind != "input")


@implements(proc=NetxNetwork, protocol=LoihiProtocol)
@tag("fixed_pt")
class NetxNetworkModel(AbstractSubProcessModel):  # type: ignore[misc]
    """Nothing more: Lava finds the blocks by their connections."""

    def __init__(self, proc: NetxNetwork) -> None:
        pass
