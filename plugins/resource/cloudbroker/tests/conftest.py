"""A platform in threads of the test process, and handlers on it."""

from __future__ import annotations

import pytest

from occopus_core.api import Connection, Context, CreateRequest, Owner
from occopus_resource_cloudbroker import CloudBrokerHandler
from occopus_resource_cloudbroker.testing import DEPLOYMENT, EMAIL, INSTANCE_TYPE, PASSWORD, Platform, Server


@pytest.fixture
def cloud():
    """An empty platform."""
    with Server(Platform()) as server:
        yield server


@pytest.fixture
def connect(cloud):
    """Makes handlers on the account."""

    def connect(*, auth=None, timeout=30.0, endpoint=None):
        settings = {"endpoint": endpoint or cloud.endpoint}
        auth = {"email": EMAIL, "password": PASSWORD} if auth is None else auth
        return CloudBrokerHandler(Connection("cloudbroker", settings, auth, timeout))

    return connect


@pytest.fixture
def order():
    """Makes requests."""

    def order(
        token="t-1", *, installation="here", infra="shop", node="web", user_data="#cloud-config\n", **description
    ):
        owner = Owner(installation, infra, node, f"id-{token}")
        section = {"description": {"deployment_id": DEPLOYMENT, "instance_type_id": INSTANCE_TYPE, **description}}
        return CreateRequest(token, owner, section, Context(user_data=user_data))

    return order
