"""The resource handler of the type `azure_vm`."""

from occopus_resource_azure.vm.handler import AzureVmHandler

__all__ = ["AzureVmHandler"]
