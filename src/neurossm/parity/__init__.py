"""Verification: how far integers are from floats, and that engines agree to the bit."""

from neurossm.parity.verification import Check, Verification, verify

__all__ = ["Check", "Verification", "verify"]
