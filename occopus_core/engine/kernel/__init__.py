"""The basis of every pass: clock, loop, calls and their limits, leases and the journal."""
