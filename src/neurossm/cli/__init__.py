"""The command line. Commands parse, call one library function, and print."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run the `neurossm` command."""
    raise SystemExit("neurossm: no commands yet")
