"""A real SSH server on the loopback for playbooks, and a simulated Galaxy."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from occopus_core.testing.sshd import SshServer, installed
from occopus_core.testing.web import answering

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="session")
def sshd() -> Iterator[SshServer]:
    if not installed():
        pytest.skip("sshd is not installed: apt-get install openssh-server")
    if shutil.which("ssh") is None:
        pytest.skip("ssh is not installed: apt-get install openssh-client")
    if os.geteuid() != 0:
        pytest.skip("the tests log in as root: only root can start such a server")
    with SshServer([f"127.0.11.{number}" for number in range(1, 9)] + ["127.0.0.1"]) as server:
        yield server


class Galaxy:
    """Serves collections with Galaxy's API, each with a role, and archives of roles.

    `asked` has the requested paths.
    """

    def __init__(self, folder):
        self._folder = folder
        self._collections = {}
        self.asked = []

    def collection(self, name, needs=()):
        """Make a collection `acme.NAME`; its role `mark` publishes that it has run."""
        source = self._folder / name
        tasks = source / "roles" / "mark" / "tasks"
        tasks.mkdir(parents=True)
        (tasks / "main.yml").write_text(f"- set_stats: {{data: {{{name}: done}}, per_host: true}}\n")
        dependencies = {f"acme.{each}": "*" for each in needs}
        described = {"namespace": "acme", "name": name, "version": "1.0.0", "readme": "README.md", "authors": ["me"]}
        (source / "galaxy.yml").write_text(json.dumps({**described, "dependencies": dependencies}))
        (source / "README.md").write_text(name)
        program = Path(sys.executable).with_name("ansible-galaxy")
        words = [program, "collection", "build", source, "--output-path", self._folder]
        subprocess.run(words, check=True, capture_output=True)
        self._collections[name] = dependencies

    def role(self, name):
        """Make an archive of a role that publishes that it has run; returns its path."""
        source = self._folder / name
        for file, text in {
            "tasks/main.yml": f"- set_stats: {{data: {{{name}: done}}, per_host: true}}\n",
            "meta/main.yml": "galaxy_info: {author: me, description: x, license: none, min_ansible_version: '2.17'}\n",
        }.items():
            (source / file).parent.mkdir(parents=True, exist_ok=True)
            (source / file).write_text(text)
        with tarfile.open(self._folder / f"{name}.tar.gz", "w:gz") as made:
            made.add(source, name)
        return f"{name}.tar.gz"

    def serve(self):
        """Serve within a context; yields the URL."""
        return answering(respond=self._respond)

    def _respond(self, method, path, headers, body):
        self.asked.append(path.partition("?")[0])
        base, parts = f"http://{headers['Host']}", self.asked[-1].strip("/").split("/")
        if parts == ["api"]:
            return 200, JSON, json.dumps({"available_versions": {"v3": "v3/"}}).encode()
        if parts[:4] == ["api", "v3", "collections", "acme"] and parts[4] in self._collections:
            return 200, JSON, json.dumps(self._described(base, parts[4], parts[5:])).encode()
        file = self._folder / parts[-1]
        return (200, {}, file.read_bytes()) if file.is_file() else (404, {}, b"")

    def _described(self, base, name, rest):
        here = f"/api/v3/collections/acme/{name}/"
        if not rest:
            return {"href": here, "namespace": "acme", "name": name, "versions_url": f"{here}versions/"}
        if rest == ["versions"]:
            data = [{"version": "1.0.0", "href": f"{here}versions/1.0.0/"}]
            return {"meta": {"count": 1}, "links": {"next": None}, "data": data}
        archive = f"acme-{name}-1.0.0.tar.gz"
        return {
            "version": "1.0.0",
            "href": f"{here}versions/1.0.0/",
            "namespace": {"name": "acme"},
            "collection": {"name": name},
            "download_url": f"{base}/download/{archive}",
            "artifact": {
                "filename": archive,
                "sha256": hashlib.sha256((self._folder / archive).read_bytes()).hexdigest(),
            },
            "metadata": {"dependencies": self._collections[name]},
            "signatures": [],
        }


@pytest.fixture
def galaxy(tmp_path: Path) -> Galaxy:
    return Galaxy(tmp_path / "galaxy")
