"""Gate: lets numbers pass that a network can take."""
