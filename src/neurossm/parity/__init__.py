"""Verification: how far integers are from floats, and that engines agree to the bit."""

from neurossm.parity.outcome import Verification
from neurossm.parity.results import Check
from neurossm.parity.verification import verify

__all__ = ["Check", "Verification", "verify"]
