"""The SSH host keys that the store pins for instances."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from occopus_core.api import TransientError
from occopus_core.api.ssh import HostKeyError
from occopus_core.store.database import open_database
from occopus_core.store.repository import Store

from .builders import add_instances, infrastructure, record


@pytest.fixture
def lease(store):
    lease = store.add_infrastructure("i", infrastructure(), {"web": 2}, "me", 100.0)
    add_instances(store, lease, record("n-1"), record("n-2"))
    return lease


@pytest.mark.usefixtures("lease")
class TestPins:
    def test_first_use_pins(self, store):
        assert store.host_keys.known("n-1") == ()
        assert store.host_keys.pin("n-1", "k one") == ("k one",)
        assert store.host_keys.known("n-1") == ("k one",)
        assert store.host_keys.pin("n-1", "k one") == ("k one",)

    def test_another_key_changes_nothing(self, store):
        store.host_keys.pin("n-1", "k one")
        assert store.host_keys.pin("n-1", "k two") == ("k one",)
        assert store.host_keys.known("n-1") == ("k one",)
        assert store.host_keys.known("n-2") == ()

    def test_hosts_on_the_way_have_their_own(self, store):
        store.host_keys.pin("n-1", "k one")
        assert store.host_keys.pin("n-1", "k jump", "10.0.0.1:22") == ("k jump",)
        assert store.host_keys.known("n-1") == ("k one",)

    def test_of_those_generated_the_one_shown_remains(self, store, lease):
        for key in ("k one", "k two", "k two"):
            with store.changing(lease) as change:
                change.offer_host_keys({"n-1": key})
        assert store.host_keys.known("n-1") == ("k one", "k two")
        assert store.host_keys.pin("n-1", "k three") == ("k one", "k two")
        assert store.host_keys.pin("n-1", "k two") == ("k two",)
        assert store.host_keys.pin("n-1", "k one") == ("k two",)

    def test_one_of_many_at_once_is_first(self, store):
        keys = [f"k {number}" for number in range(8)]
        with ThreadPoolExecutor(8) as threads:
            answers = set(threads.map(lambda key: store.host_keys.pin("n-1", key), keys))
        assert len(answers) == 1
        assert answers.pop() == store.host_keys.known("n-1")

    def test_they_outlast_the_process(self, store, store_url):
        store.host_keys.pin("n-1", "k one")
        with contextlib.closing(open_database(store_url)) as database:
            assert Store(database).host_keys.known("n-1") == ("k one",)


class TestEnds:
    def test_they_go_with_the_instance(self, store, lease):
        for host in ("", "10.0.0.1:22"):
            store.host_keys.pin("n-1", "k one", host)
        store.host_keys.pin("n-2", "k two")
        with store.changing(lease) as change:
            change.remove_instances(["n-1"])
        assert store.host_keys.known("n-1") == store.host_keys.known("n-1", "10.0.0.1:22") == ()
        assert store.host_keys.known("n-2") == ("k two",)

    def test_they_go_with_the_infrastructure(self, store, lease):
        store.host_keys.pin("n-2", "k two")
        with store.changing(lease) as change:
            change.remove_infrastructure()
        assert store.host_keys.known("n-2") == ()

    def test_none_is_pinned_for_an_instance_that_is_gone(self, store, lease):
        with store.changing(lease) as change:
            change.remove_instances(["n-1"])
        with pytest.raises(HostKeyError, match="no such instance any more"):
            store.host_keys.pin("n-1", "k one")

    def test_a_store_that_is_away_is_a_transient_error(self, tmp_path):
        database = open_database(f"sqlite:///{tmp_path}/occopus.db")
        database.close()
        (tmp_path / "occopus.db").write_bytes(b"no database" * 1000)
        with contextlib.closing(database), pytest.raises(TransientError, match="the store"):
            Store(database).host_keys.known("n-1")
