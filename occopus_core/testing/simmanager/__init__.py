"""A simulated configuration manager: what it does, and the process that does it."""
