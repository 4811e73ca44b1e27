"""How the instances that exist differ from what is described, beyond their number and health."""
