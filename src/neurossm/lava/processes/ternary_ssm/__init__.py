"""TernarySSM: a population of state-space neurons with ternary spikes and graded messages."""
