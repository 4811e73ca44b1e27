"""A simulated configuration manager: its operations, and the server process."""
