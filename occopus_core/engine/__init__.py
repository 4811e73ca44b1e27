"""Convergence: recover, observe, plan, execute."""
