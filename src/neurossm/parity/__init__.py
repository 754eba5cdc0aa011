"""Verification: how far integers are from floats, and that engines agree to the bit."""

from neurossm.parity.results import Check, Verification
from neurossm.parity.verification import verify

__all__ = ["Check", "Verification", "verify"]
