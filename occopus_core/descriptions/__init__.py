"""Reads what users write: files in, a validated model out. No other package of the core parses files of users."""
