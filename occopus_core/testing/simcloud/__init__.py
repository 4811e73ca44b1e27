"""A simulated cloud: a server process with its own inventory, which fails as it is told to."""
