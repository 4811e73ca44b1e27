"""An empty home, and unchanged signals."""

import signal

import pytest

from occopus_core.api.resource import Address
from occopus_core.cli import output
from occopus_core.descriptions.model import Dependency, Implementation, Infrastructure, NodeDescription, Scaling
from occopus_core.store.database import open_database
from occopus_core.store.records import InstanceRecord, Stage
from occopus_core.store.repository import Store


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("OCCOPUS_STORE", f"sqlite:///{tmp_path}/store.db")
    for name in ("OCCOPUS_CONFIG_PATH", "OCCOPUS_AUTH_DATA_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(output, "with_options", str)  # messages without options; test_hints restores it
    return tmp_path


@pytest.fixture
def store(home):
    """The infrastructure `infra-1`: a `web` that needs a `db`, one `web` running."""
    nodes = tuple(NodeDescription(name, name, scaling=Scaling(1, 5)) for name in ("web", "db"))
    described = Infrastructure("shop", nodes, (Dependency("web", "db"),))
    made_by = Implementation({"type": "memory"})
    instance = InstanceRecord(
        *("id-1", "infra-1", "web", 1, "occopus-id-1", made_by.digest, "{}", "fingerprint", Stage.READY, 2.0, 1.0),
        addresses=(Address("10.0.0.1"),),
    )
    database = open_database(f"sqlite:///{home}/store.db")
    store = Store(database)
    lease = store.add_infrastructure("infra-1", described, {"web": 1, "db": 1}, "test", 0.0)
    with store.changing(lease) as change:
        change.add_implementations([made_by])
        change.add_instances([instance])
        change.finish_build(described, {"web": 1, "db": 1})
    yield store
    database.close()


@pytest.fixture(autouse=True)
def signals():
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in numbers}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def command(capsys):
    """Runs a command with its arguments: its exit code, and what it prints on stdout and stderr."""

    def command(module, *argv):
        try:
            code = module.main(argv)
        except SystemExit as ended:
            code = ended.code
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return command
