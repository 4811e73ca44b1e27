"""The smallest plugins of docs/plugins.md as they stand there, and harnesses for them."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
import tempfile
import threading
import types
from collections import Counter
from contextlib import suppress
from pathlib import Path

from occopus_core.api import Connection, Probe
from occopus_core.testing.config import ConfigHarness
from occopus_core.testing.conformance import Fault
from occopus_core.testing.context import TEMPLATE, ContextHarness
from occopus_core.testing.health import HealthHarness
from occopus_core.testing.notify import NotifyHarness

DOCS = Path(__file__).parents[3] / "docs"


def block(page, defining):
    """The block of Python on a page of the documentation that defines a class."""
    blocks = re.findall(r"^```python\n(.*?)^```", (DOCS / page).read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return next(block for block in blocks if f"\nclass {defining}(" in block)


def documented(name, package, page="plugins.md"):
    """The class of that name on the page, as it stands there; its module can be imported by its name."""
    module = types.ModuleType(package)
    sys.modules[package] = module
    exec(block(page, name), module.__dict__)
    return getattr(module, name)


FolderManager = documented("FolderManager", "occopus_config_folder")
Banner = documented("Banner", "occopus_health_banner")
Script = documented("Script", "occopus_context_script")
FileNotifier = documented("FileNotifier", "occopus_notify_file")


class Agent:
    """What carries out the orders in a folder: one job for each order that it has not seen."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.begun: dict[Path, str] = {}
        self.jobs: Counter[str] = Counter()

    def look(self):
        orders = {file: file.read_text() for file in self.folder.glob("*/*.order")}
        self.begun = {file: text for file, text in self.begun.items() if file in orders}
        for file, text in orders.items():
            if self.begun.get(file) != text:
                self.begun[file] = text
                self._carry_out(file, json.loads(text))

    def _carry_out(self, file, order):
        if not order["generation"]:
            return
        self.jobs[order["node_id"]] += 1
        roles = order["section"]["roles"]
        if "endless" in roles:
            return
        failed = "failing" in roles
        report = {
            "generation": order["generation"],
            "state": "failed" if failed else "ready",
            "reason": "the agent does not know the role" if failed else "",
            "attributes": {"address": "db-1"},
            "output": "roles: none of this name\n" if failed else "",
        }
        file.with_suffix(".report").write_text(json.dumps(report))


class FolderManagerHarness(ConfigHarness):
    published = {"address": "db-1"}
    printed = "roles: none of this name"
    faults = frozenset({Fault.REFUSED_CONNECTION})
    not_applicable = {
        "schema_imports_no_sdk": "there is no library",
        "status_costs_pages": "a folder has no calls to count",
        "hang": "the folder cannot be made to hang",
    }

    def __init__(self, manager=FolderManager):
        super().__init__()
        self._class = manager
        self.folder = Path(tempfile.mkdtemp())
        self.away = self.folder.with_suffix(".away")
        self.agent = Agent(self.folder)

    def manager(self, *, call_timeout=None):
        settings = {"endpoint": str(self.folder)}
        return self._class(Connection("folder", settings, {"key": "hush-hush"}, call_timeout or 30.0))

    def section(self, kind="plain", variant=0):
        return {"endpoint": str(self.folder), "roles": [kind, str(variant)]}

    def settle(self):
        self.agent.look()

    def jobs(self, node):
        self.agent.look()
        return self.agent.jobs[node.node_id]

    def lose(self, node):
        for kind in ("order", "report"):
            (self.folder / node.infra_id / f"{node.node_id}.{kind}").unlink(missing_ok=True)
        self.agent.look()

    def inject(self, fault):
        assert fault is Fault.REFUSED_CONNECTION
        self.folder.rename(self.away)

    def clear(self):
        with suppress(FileNotFoundError):
            self.away.rename(self.folder)

    def close(self):
        self.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


class BannerHarness(HealthHarness):
    """One server that greets and one that says nothing, until the harness is closed."""

    __slots__ = ("servers",)

    def __init__(self, checker=Banner):
        servers = [socket.create_server(("127.0.0.1", 0), backlog=256) for _ in range(2)]
        object.__setattr__(self, "servers", servers)
        threading.Thread(target=greet, args=[servers[0]], daemon=True).start()

        def probe(server, text, timeout):
            return Probe("n-1", "127.0.0.1", {"port": server.getsockname()[1], "text": text}, timeout)

        super().__init__(
            checker(),
            healthy=probe(servers[0], "SSH", 5.0),
            unhealthy=probe(servers[0], "SMTP-hidden", 5.0),
            silent=probe(servers[1], "SSH", 0.5),
            secret="hidden",
        )

    def close(self):
        for server in self.servers:
            server.close()


def greet(server):
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            with suppress(OSError), connection:
                connection.sendall(b"SSH-2.0-test\r\n")


def script_harness(contextualiser=Script):
    return ContextHarness(contextualiser, {"lines": [f"echo {TEMPLATE}", f"# {TEMPLATE}"]})


class FileNotifierHarness(NotifyHarness):
    faults = frozenset({Fault.SERVER_ERROR})
    not_applicable = {
        "schema_imports_no_sdk": "there is no library",
        "hang": "a file cannot be made to hang",
        "never_retries": "a file has no requests to count",
    }

    def __init__(self, notifier=FileNotifier):
        self._class = notifier
        self.folder = Path(tempfile.mkdtemp())
        self.file = self.folder / "notifications"

    def notifier(self, *, call_timeout=None):
        return self._class(Connection("file", {"path": str(self.file)}, {"key": "hush-hush"}, call_timeout or 30.0))

    def received(self):
        return [json.loads(line)["id"] for line in self.file.read_text().splitlines()] if self.file.is_file() else []

    def inject(self, fault):
        assert fault is Fault.SERVER_ERROR
        self.folder.rename(self.folder.with_suffix(".away"))

    def clear(self):
        with suppress(FileNotFoundError):
            self.folder.with_suffix(".away").rename(self.folder)

    def close(self):
        self.clear()
        shutil.rmtree(self.folder, ignore_errors=True)
