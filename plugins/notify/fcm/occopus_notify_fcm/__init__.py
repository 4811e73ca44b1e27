"""Occopus notifier: push messages through Firebase Cloud Messaging."""

from occopus_notify_fcm.notifier import FirebaseCloudMessaging

__all__ = ["FirebaseCloudMessaging"]
