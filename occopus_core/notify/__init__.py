"""Notifications: events of the log, delivered to notifiers."""
