"""Occopus resource handler for the CloudBroker Platform."""

from occopus_resource_cloudbroker.handler import CloudBrokerHandler

__all__ = ["CloudBrokerHandler"]
