"""The commands: each module parses its options and delegates."""
