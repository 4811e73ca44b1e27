"""Comparison of the stand-in with Azure: exchanges against Microsoft's OpenAPI documents, and replayed recordings."""

from occopus_resource_azure.testing.contract.check import Checker, checker
from occopus_resource_azure.testing.contract.documents import Documents, recordings

__all__ = ["Checker", "Documents", "checker", "recordings"]
