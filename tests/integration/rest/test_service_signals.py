"""Signals while the service heals: it ends in order, nothing is lost, and the next process continues."""

from __future__ import annotations

import signal

import pytest

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_service_that_heals_ends_at_a_signal(ill, cloud, serve, until, assert_carried_on, number):
    with serve(ill) as (process, client):
        assert client.post("/infrastructures/ill/attach").status == 200
        until(lambda: len(cloud.created) == 3)
        process.send_signal(number)
        assert process.wait(600) == 0, process.said.read_text()
        assert "Traceback" not in process.said.read_text()
    assert_carried_on()


def test_one_that_was_started_with_nohup_goes_on_without_its_terminal(ill, cloud, serve, until):
    with serve(ill, before=["nohup"]) as (process, client):
        process.send_signal(signal.SIGHUP)
        assert client.post("/infrastructures/ill/attach").status == 200
        until(lambda: len(cloud.created) == 3)
        assert process.poll() is None
