"""Reads files of users into a validated model. No other package of the core parses them."""
