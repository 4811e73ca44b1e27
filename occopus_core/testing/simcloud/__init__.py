"""A simulated cloud: a server process with its own inventory, with injected faults."""
