"""Player: streams recorded data into the network, one row per step."""
