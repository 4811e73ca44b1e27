"""The handler against the contract, on a real OpenStack."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import ClassVar

import pytest
from account import clear
from faults import NovaFaults

from occopus_core.api import Context, CreateRequest, InstanceId, InstanceState
from occopus_core.testing.conformance import ResourceHandlerConformance, ResourceHarness
from occopus_resource_nova import NovaHandler


@pytest.fixture(scope="module", autouse=True)
def nothing_left(accounts):
    yield
    clear(accounts.values())


class NovaHarness(ResourceHarness):
    sdk_modules = ("openstack", "keystoneauth1", "requests")
    page_size = 2
    crowd = 4  # there is one host, and it boots one server after the other
    patience = 300
    not_applicable: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("logs_have_what_was_printed", "logs_are_the_last_lines"),
        "no guest runs on the hypervisor of the tests, which answers the same output for every server",
    )

    def __init__(self, account, proxy):
        super().__init__()
        self.account, self.proxy = account, proxy
        self.faults = NovaFaults(proxy, account.server_of)

    def handler(self, *, call_timeout=None):
        return NovaHandler(self.account.connection(call_timeout or 30.0))

    def request(self, token, owner, kind="plain"):
        wanted = {"volume_size": 1} if kind == "stepwise" else {}
        if kind == "missing":
            wanted["image_id"] = "no-such-image"
        context = Context(user_data="#cloud-config\npassword: hush-hush\n")
        return CreateRequest(token, owner, self.account.resource(**wanted), context)

    def absent_ids(self, count):
        return [InstanceId(f"occopus-ffff{number:04x}") for number in range(count)]

    def settle(self):
        time.sleep(0.2)

    def provider_calls(self):
        return len(self.proxy.requests)

    def received(self, id, sent):
        return Context(user_data=self.account.user_data(id))

    def impose(self, id, state):
        server = self.account.server_of(id)
        if state is InstanceState.STOPPED:
            self.account.cloud.compute.stop_server(server)
        elif state is InstanceState.FAILED:
            self.account.administrator.compute.reset_server_state(server, "error")
        else:
            self.faults.report_status("HIBERNATING")


class TestConformance(ResourceHandlerConformance):
    @pytest.fixture
    def harness(self, account, proxy, monkeypatch):
        monkeypatch.setattr("occopus_resource_nova.inventory._PAGE", NovaHarness.page_size)
        harness = NovaHarness(account, proxy)
        yield harness
        harness.close()
