"""A simulated CloudSigma, handlers on it, and requests."""

from __future__ import annotations

import pytest

from occopus_core.api import Connection, Context, CreateRequest, Owner
from occopus_resource_cloudsigma import CloudSigmaHandler, inventory
from occopus_resource_cloudsigma.testing import EMAIL, LIBRARY_DRIVE, PASSWORD, CloudSigma

USER_DATA = "#cloud-config\nhush: a-secret-of-the-node\n"
POLICY = "f7a3d9c1-0e5d-4d0a-9a8e-3c1f0d2b4e6a"


class Clock:
    """A clock that tests advance."""

    def __init__(self):
        self.time = 0.0

    def __call__(self):
        return self.time


@pytest.fixture
def clock(monkeypatch):
    """The clock of the cloud and of the handler."""
    clock = Clock()
    monkeypatch.setattr(inventory, "monotonic", clock)
    return clock


@pytest.fixture
def cloud(clock):
    with CloudSigma(clock=clock) as cloud:
        yield cloud


@pytest.fixture
def connect(cloud):
    """Makes handlers on the account."""

    def connect(*, auth=None, timeout=30.0, endpoint=None):
        auth = {"email": EMAIL, "password": PASSWORD} if auth is None else auth
        return CloudSigmaHandler(Connection("cloudsigma", {"endpoint": endpoint or cloud.url}, auth, timeout))

    return connect


@pytest.fixture
def order(cloud):
    """Makes requests; other keyword arguments are keys of `description`."""

    def order(token="occopus-1", *, resource=None, user_data=USER_DATA, infra="shop", node="web", **description):
        server = {"cpu": 2000, "mem": 2**30, "vnc_password": "a-vnc-password", **description}
        section = {"endpoint": cloud.url, "libdrive_id": LIBRARY_DRIVE, "description": server, **(resource or {})}
        return CreateRequest(token, Owner("here", infra, node, f"id-{token}"), section, Context(user_data=user_data))

    return order


@pytest.fixture
def made(clock):
    """Calls `create` until the instance is made; returns the last answer."""

    def made(handler, request, seconds=1.0):
        for _ in range(100):
            instance = handler.create(request)
            if instance.state.name != "PROVISIONING":
                return instance
            clock.time += seconds
        raise AssertionError(f"it stays {instance}")

    return made
