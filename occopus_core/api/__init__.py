"""The plugin API: the only part of the core that plugins import, besides `occopus_core.testing` in their tests."""

from occopus_core.api.auth import missing_keys
from occopus_core.api.config import (
    ConfigManager,
    ConfigNode,
    ConfigState,
    ConfigStatus,
    Peer,
    Registered,
    SectionFault,
)
from occopus_core.api.context import Context, ContextForm, Contextualiser, Render
from occopus_core.api.deadline import within
from occopus_core.api.errors import (
    AuthError,
    NotFoundError,
    PermanentError,
    ProviderError,
    QuotaError,
    ThrottledError,
    TransientError,
)
from occopus_core.api.health import HealthChecker, Probe, Verdict
from occopus_core.api.notify import Notification, Notifier
from occopus_core.api.output import last_lines
from occopus_core.api.resource import (
    Address,
    AddressKind,
    Connection,
    CreateRequest,
    Feature,
    Instance,
    InstanceId,
    InstanceState,
    Owner,
    ResourceHandler,
)
from occopus_core.api.schema import load_schema
from occopus_core.api.spelling import did_you_mean
from occopus_core.api.version import CONTRACT_VERSION

__all__ = [
    "CONTRACT_VERSION",
    "Address",
    "AddressKind",
    "AuthError",
    "ConfigManager",
    "ConfigNode",
    "ConfigState",
    "ConfigStatus",
    "Connection",
    "Context",
    "ContextForm",
    "Contextualiser",
    "CreateRequest",
    "Feature",
    "HealthChecker",
    "Instance",
    "InstanceId",
    "InstanceState",
    "NotFoundError",
    "Notification",
    "Notifier",
    "Owner",
    "Peer",
    "PermanentError",
    "Probe",
    "ProviderError",
    "QuotaError",
    "Registered",
    "Render",
    "ResourceHandler",
    "SectionFault",
    "ThrottledError",
    "TransientError",
    "Verdict",
    "did_you_mean",
    "last_lines",
    "load_schema",
    "missing_keys",
    "within",
]
