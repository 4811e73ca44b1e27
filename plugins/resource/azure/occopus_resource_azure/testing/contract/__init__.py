"""How the stand-in is held to Azure: its exchanges against Microsoft's OpenAPI documents, and recordings replayed."""

from occopus_resource_azure.testing.contract.check import Checker, checker
from occopus_resource_azure.testing.contract.documents import Documents, recordings

__all__ = ["Checker", "Documents", "checker", "recordings"]
