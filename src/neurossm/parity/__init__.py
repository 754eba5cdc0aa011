"""Verification: how far integers are from floats, and that engines agree to the bit."""

from neurossm.parity.checks import Check
from neurossm.parity.verification import Verification, verify

__all__ = ["Check", "Verification", "verify"]
