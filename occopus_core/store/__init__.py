"""What is wanted and what was begun, durably: the one place that knows how rows look."""
