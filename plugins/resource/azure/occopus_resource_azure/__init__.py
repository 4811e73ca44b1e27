"""Occopus resource handlers for Microsoft Azure: virtual machines and container groups."""

from occopus_resource_azure.aci import AzureAciHandler
from occopus_resource_azure.vm import AzureVmHandler

__all__ = ["AzureAciHandler", "AzureVmHandler"]
