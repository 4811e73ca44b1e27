"""A simulated EC2 in a separate process, and handlers on it."""

from __future__ import annotations

import importlib.util

import pytest

from occopus_core.api import Connection, Context, CreateRequest, Owner
from occopus_resource_ec2 import Ec2Handler

IMAGE = "ami-0123456789abcdef0"


@pytest.fixture(scope="session")
def ec2_process():
    missing = [name for name in ("moto", "flask", "flask_cors") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(
            f"{missing[0]} is not installed: pip install './plugins/resource/ec2[testing]' in a checkout of Occopus"
        )
    from occopus_resource_ec2.testing import Ec2Cloud  # noqa: PLC0415

    with Ec2Cloud() as cloud:
        yield cloud


@pytest.fixture
def ec2(ec2_process):
    """An EC2 without instances."""
    ec2_process.reset()
    return ec2_process


@pytest.fixture
def connect(ec2):
    """Makes handlers on the account."""

    def connect(*, auth=None, timeout=30.0, **settings):
        from occopus_resource_ec2.testing import ACCESS_KEY, REGION, SECRET_KEY  # noqa: PLC0415

        settings = {"endpoint": ec2.endpoint, "regionname": REGION, **settings}
        auth = {"accesskey": ACCESS_KEY, "secretkey": SECRET_KEY} if auth is None else auth
        return Ec2Handler(Connection("ec2", settings, auth, timeout))

    return connect


@pytest.fixture
def order():
    """Makes requests."""

    def order(token="t-1", *, installation="here", infra="shop", node="web", user_data="#cloud-config\n", **resource):
        owner = Owner(installation, infra, node, f"id-{token}")
        section = {"type": "ec2", "image_id": IMAGE, "instance_type": "t3.micro", **resource}
        return CreateRequest(token, owner, section, Context(user_data=user_data))

    return order
