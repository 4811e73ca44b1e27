"""The resource handler of the type `azure_aci`."""

from occopus_resource_azure.aci.handler import AzureAciHandler

__all__ = ["AzureAciHandler"]
