"""A real OpenStack on this machine: keystone, placement, glance, neutron, nova and cinder, with no guest behind it.

By hand: ``python stack.py install VENV``, then ``python stack.py run VENV FOLDER`` until Ctrl-C.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from configs import SERVICES, Layout, write_configs  # noqa: E402  # found whoever runs or imports this file

PACKAGES = (
    "nova==33.0.2",
    "keystone==29.0.2",
    "openstack-placement==15.0.0",
    "glance==32.0.0",
    "neutron==28.0.2",
    "cinder==28.0.0",
    "waitress",
)
LONGEST = 600.0
"""Seconds after which a service that does not answer is taken for broken; a busy machine needs some."""

# Neutron's migrations do not run on SQLite: its schema is made from its models.
_NEUTRON_TABLES = """
import sys
import sqlalchemy
from neutron.db.migration.models import head
head.get_metadata().create_all(sqlalchemy.create_engine(sys.argv[1]))
"""
_WITH_WAL = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('pragma journal_mode=wal')"


def install(venv: Path) -> None:
    """Make the environment of the services: about a minute and 800 MB, once. Who comes meanwhile waits for it."""
    venv.parent.mkdir(parents=True, exist_ok=True)
    with venv.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (venv / "complete").exists():
            _install(venv)


def _install(venv: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
    pip = [venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "setuptools<80"], check=True)
    subprocess.run([*pip, "--no-cache-dir", "-c", HERE / "constraints.txt", *PACKAGES], check=True)
    (venv / "complete").touch()


def free_ports() -> list[int]:
    """Two free ports for each service: its own, and that of what stands before it."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(2 * len(SERVICES))]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


class Stack:
    """The services as processes. `public` are the ports that the catalog tells users, by service."""

    def __init__(self, venv: Path, state: Path) -> None:
        ports = free_ports()
        self.layout = Layout(state.resolve(), venv.resolve(), dict(zip(SERVICES, ports, strict=False)))
        self.public = dict(zip(SERVICES, ports[len(SERVICES) :], strict=True))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        kept = {key: os.environ[key] for key in ("PATH", "LANG", "TZ") if key in os.environ}
        folder = self.layout.state
        configs = {f"OS_{name.upper()}_CONFIG_DIR": str(folder / name) for name in SERVICES if name != "cinder"}
        self._environ = {
            **kept,
            **configs,
            "OS_NEUTRON_CONFIG_FILES": "neutron.conf",
            "PYTHONPATH": str(HERE / "pylib"),
            "PYTHONWARNINGS": "ignore",
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "LOOP_PORTS": json.dumps(self.layout.ports),
            "LOOP_PUBLIC": json.dumps(self.public),
        }

    def start(self) -> None:
        """Make the databases, start everything, and seed users, images, flavors and networks."""
        write_configs(self.layout)
        self._make_databases()
        for name in ("keystone", "placement", "glance", "neutron"):
            self._spawn(name, "loopstack.wsgi_serve", f"{name}.wsgi.api", str(self.layout.ports[name]))
        self._wait("keystone")
        self._python(str(HERE / "seed.py"), "identity")
        self._wait("placement")
        self._spawn("nova", "loopstack.nova_all", str(self.layout.ports["nova"]))
        configuration = str(self.layout.state / "cinder/cinder.conf")
        self._spawn("cinder", "loopstack.cinder_all", str(self.layout.ports["cinder"]), configuration)
        for name in SERVICES[2:]:
            self._wait(name)
        self._python(str(HERE / "seed.py"), "resources")

    def stop(self) -> None:
        """End every process that was started. Idempotent."""
        for process in self._processes.values():
            process.terminate()
        deadline = time.monotonic() + 8
        for process in self._processes.values():
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._processes.clear()

    # Databases

    def _make_databases(self) -> None:
        with ThreadPoolExecutor(3) as threads:
            for done in [threads.submit(make) for make in (self._make_keystone, self._make_nova, self._make_others)]:
                done.result()
        for file in (self.layout.state / "db").glob("*.sqlite"):  # so that readers do not wait for the writer
            self._python("-c", _WITH_WAL, str(file))

    def _make_keystone(self) -> None:
        manage = ["keystone-manage", "--config-file", str(self.layout.state / "keystone/keystone.conf")]
        owner = [f"--keystone-user={os.geteuid()}", f"--keystone-group={os.getegid()}"]
        url = f"{self.layout.url('keystone')}/v3"
        public = f"http://127.0.0.1:{self.public['keystone']}/v3"
        self._run(*manage, "db_sync")
        self._run(*manage, "fernet_setup", *owner)
        self._run(*manage, "credential_setup", *owner)
        urls = ["--bootstrap-public-url", public, "--bootstrap-internal-url", url, "--bootstrap-admin-url", url]
        self._run(*manage, "bootstrap", "--bootstrap-password=adminpw", "--bootstrap-region-id=RegionOne", *urls)

    def _make_nova(self) -> None:
        manage = ["nova-manage", "--config-file", str(self.layout.state / "nova/nova.conf")]
        self._run(*manage, "api_db", "sync")
        self._run(*manage, "cell_v2", "map_cell0", "--database_connection", self.layout.database("nova_cell0"))
        self._run(*manage, "cell_v2", "create_cell", "--name", "cell1")
        self._run(*manage, "db", "sync")

    def _make_others(self) -> None:
        state = self.layout.state
        self._run("placement-manage", "--config-file", str(state / "placement/placement.conf"), "db", "sync")
        self._run("glance-manage", "--config-file", str(state / "glance/glance-api.conf"), "db_sync")
        self._python("-c", _NEUTRON_TABLES, self.layout.database("neutron"))
        self._run("cinder-manage", "--config-file", str(state / "cinder/cinder.conf"), "db", "sync")

    # Processes

    def _python(self, *words: str) -> None:
        self._run("python", *words)

    def _run(self, program: str, *words: str) -> None:
        command = [str(self.layout.venv / "bin" / program), *words]
        ended = subprocess.run(command, env=self._environ, text=True, capture_output=True, check=False)
        if ended.returncode:
            raise RuntimeError(f"{program} {words[:3]} failed: {ended.stdout[-2000:]}{ended.stderr[-4000:]}")

    def _spawn(self, name: str, module: str, *words: str) -> None:
        command = [str(self.layout.venv / "bin/python"), "-m", module, *words]
        with (self.layout.state / f"log/{name}.out").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                command,
                env=self._environ,
                cwd=self.layout.state,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # interrupted tests clean up with what answers still
            )

    def _wait(self, name: str) -> None:
        deadline = time.monotonic() + LONGEST
        while not self._answers(name):
            if self._processes[name].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{name}: " + (self.layout.state / f"log/{name}.out").read_text()[-4000:])
            time.sleep(0.1)

    def _answers(self, name: str) -> bool:
        try:
            urllib.request.urlopen(self.layout.url(name), timeout=5).close()
        except urllib.error.HTTPError as answer:
            answer.close()
        except OSError:
            return False
        return True


def main() -> None:
    action, venv, *rest = sys.argv[1:]
    if action == "install":
        install(Path(venv))
        return
    stack = Stack(Path(venv), Path(rest[0]))
    stack.public = stack.layout.ports  # type: ignore[assignment]  # nothing stands before them
    try:
        stack.start()
        print(f"{stack.layout.url('keystone')}/v3", flush=True)
        signal.pause()
    except KeyboardInterrupt:
        pass
    finally:
        stack.stop()


if __name__ == "__main__":
    main()
