"""The commands: one module for each, which parses its options and calls the manager."""
