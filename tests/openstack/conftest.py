"""A real OpenStack for all tests here, and a proxy of ours before it."""

from __future__ import annotations

import os
import sys
import tempfile
import uuid
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from account import Account  # noqa: E402  # this folder is none of the packages
from faults import Proxy  # noqa: E402
from stack import Stack, install  # noqa: E402

CACHE = HERE.parents[1] / ".openstack"


def pytest_ignore_collect(config):
    """These tests need a minute and 800 MB before they begin: they run only when they are named."""
    return None if any("openstack" in arg for arg in config.args) else True


@pytest.fixture(scope="session")
def stack():
    """Running; ``$OCCOPUS_OPENSTACK_VENV`` is where its services are installed, ``.openstack/venv`` else."""
    venv = Path(os.environ.get("OCCOPUS_OPENSTACK_VENV", CACHE / "venv"))
    install(venv)
    with tempfile.TemporaryDirectory(prefix="occopus-openstack-", ignore_cleanup_errors=True) as folder:
        stack = Stack(venv, Path(folder))
        try:
            stack.start()
            yield stack
        finally:
            stack.stop()


@pytest.fixture(scope="session")
def running_proxy(stack):
    proxy = Proxy(stack.layout.ports, stack.public)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def proxy(running_proxy):
    """Works at the beginning of each test, and again after it."""
    yield running_proxy
    running_proxy.reset()


@pytest.fixture(scope="session")
def account(stack):
    """The account of the user ``demo``, seen without the proxy."""
    return Account(stack, "demo")


@pytest.fixture(scope="session")
def narrow(stack):
    """An account whose quota is one server."""
    return Account(stack, "narrow")


@pytest.fixture
def installation():
    return f"test-{uuid.uuid4().hex[:12]}"
