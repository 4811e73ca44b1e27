"""Occopus resource handler for CloudSigma."""

from occopus_resource_cloudsigma.handler import CloudSigmaHandler

__all__ = ["CloudSigmaHandler"]
