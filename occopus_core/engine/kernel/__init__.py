"""What every pass stands on: the clock, the loop, calls and their limits, leases and the journal."""
