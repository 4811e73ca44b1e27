"""The version of the store's schema."""

HEAD = "0020"
"""The version that `tables` describes; equals the newest file in `migrations/versions`."""
