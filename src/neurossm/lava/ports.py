"""Ports that say whose they are when somebody connects them wrongly."""

from __future__ import annotations

from typing import Any

from lava.magma.core.process.ports.ports import InPort, OutPort

from neurossm.errors import InputError


class Receiver(InPort):  # type: ignore[misc]
    """An input port of one number per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__(shape=(channels,))
        self.shape = _Shape(self)


class Sender(OutPort):  # type: ignore[misc]
    """An output port of one number per channel, with messages of so many bits.

    Lava's Dense and its relatives take messages of `num_message_bits` 0 for true or false: a 5
    counts as 1, and so does a -1. Only `binary` spikes may go there. A connection to fewer bits
    than are sent is refused, too. Where nothing is known of the bits, nothing is.
    """

    def __init__(self, channels: int, bits: int | None = None, binary: bool = False) -> None:
        super().__init__(shape=(channels,))
        self.shape = _Shape(self)
        self.bits = bits
        self.binary = binary

    def _add_outputs(self, outputs: list[Any]) -> None:
        for port in outputs:
            self._check(port)
        super()._add_outputs(outputs)

    def _check(self, port: Any) -> None:
        receiver = getattr(port, "process", None)
        given = getattr(receiver, "proc_params", {}).get("num_message_bits")
        if given is None or self.bits is None or self.binary or given >= self.bits:
            return
        kind = f"{given} bits" if given else "true or false, to which it turns them"
        raise InputError(
            f"{_name(self)}: sends messages of {self.bits} bits, but {_name(port)} takes {kind}; "
            f"give it num_message_bits={self.bits}"
        )


class _Shape(tuple[int, ...]):
    """The shape of a port, which explains itself when it is compared with another one.

    Lava compares the shapes of two ports when they are connected, and names neither.
    """

    port: Any

    def __new__(cls, port: Any) -> _Shape:
        made = super().__new__(cls, port.shape)
        made.port = port
        return made

    __hash__ = tuple.__hash__

    def __ne__(self, other: object) -> bool:
        if isinstance(other, tuple) and tuple.__ne__(self, other):
            raise InputError(
                f"{_name(self.port)}: has shape {tuple(self)}, and was connected to a port of "
                f"shape {tuple(other)}"
            )
        return bool(tuple.__ne__(self, other))

    def __reduce__(self) -> tuple[type, tuple[tuple[int, ...]]]:
        return tuple, (tuple(self),)


def _name(port: Any) -> str:
    """Return PROCESS.PORT."""
    process = getattr(port, "process", None)
    return f"{process.name}.{port.name}" if process is not None else "a port"
