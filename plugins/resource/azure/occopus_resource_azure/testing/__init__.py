"""Azure Resource Manager on this machine, for tests and examples: a stand-in that stores resources.

``pip install './plugins/resource/azure[testing]'`` in a checkout of Occopus
"""

from occopus_resource_azure.testing.account import SUBSCRIPTION, TENANT, Limits
from occopus_resource_azure.testing.cloud import GROUP, REGION, AzureCloud
from occopus_resource_azure.testing.faults import Fault
from occopus_resource_azure.testing.known import known
from occopus_resource_azure.testing.login import CLIENT_ID, CLIENT_SECRET

__all__ = [
    "CLIENT_ID",
    "CLIENT_SECRET",
    "GROUP",
    "REGION",
    "SUBSCRIPTION",
    "TENANT",
    "AzureCloud",
    "Fault",
    "Limits",
    "known",
]
