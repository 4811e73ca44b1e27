"""Files in, model out: the only room of the core that reads what users write."""
