"""Occopus notifier: signed HTTP requests to a web service."""

from occopus_notify_webhook.notifier import Webhook

__all__ = ["Webhook"]
