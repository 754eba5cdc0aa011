"""LayerNorm: mean and variance over all channels of one step."""
