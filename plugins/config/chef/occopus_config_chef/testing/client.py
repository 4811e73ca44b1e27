"""A stand-in for chef-client: it registers at a Chef server and saves converges, but changes nothing on the machine.

``python -m occopus_config_chef.testing.client FILE`` reads a file with the mapping ``chef`` of cloud-init, as YAML.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from occopus_config_chef.server import ChefServer, ConflictError, time_of_day
from occopus_core.api import Connection, NotFoundError, ProviderError

KEY = "client.pem"
"""The file next to the configuration in which a client keeps its key."""


class ChefClient:
    """One node's client. `settings` is the mapping ``chef`` of the node's cloud-init."""

    def __init__(self, settings: Mapping[str, str], address: str, key: str = "") -> None:
        self._settings = settings
        self._address = address
        self.key = key
        """The private key of the client; empty before its registration."""

    def run(self) -> dict[str, Any]:
        """Register if necessary, and converge once; return the saved node. Raises `ProviderError`."""
        if not self.key:
            self.key = self._register()
        server, name = self._server(self._name, self.key), self._name
        try:
            node = server.get("nodes", name)
        except NotFoundError:
            node = {"name": name, "chef_environment": self._settings["environment"], "run_list": [],
                    "normal": {}, "automatic": {}, "default": {}, "override": {},
                    "json_class": "Chef::Node", "chef_type": "node"}  # fmt: skip
            server.post("nodes", body=node)
        node["automatic"] = {**node["automatic"], **self._found(node["run_list"])}
        server.put("nodes", name, body=node)
        return node

    @property
    def _name(self) -> str:
        return self._settings["node_name"]

    def _found(self, run_list: list[str]) -> dict[str, Any]:
        """The attributes that Ohai would find on a machine, and the expanded run list."""
        kinds = {kind: [item[len(kind) + 1 : -1] for item in run_list if item.startswith(f"{kind}[")]
                 for kind in ("role", "recipe")}  # fmt: skip
        fqdn = f"{self._name}.internal"
        return {
            "ohai_time": time.time(),
            "hostname": self._name,
            "fqdn": fqdn,
            "ipaddress": self._address,
            "roles": kinds["role"],
            "recipes": kinds["recipe"],
        }

    def _register(self) -> str:
        validator = self._server(self._settings["validation_name"], self._settings["validation_key"])
        answer = validator.post("clients", body={"name": self._name, "create_key": True})
        return str(answer.get("private_key") or answer["chef_key"]["private_key"])

    def _server(self, name: str, key: str) -> ChefServer:
        connection = Connection(
            "chef", {"endpoint": self._settings["server_url"]}, {"client_name": name, "client_key": key}
        )
        return ChefServer(connection, time_of_day)


def main() -> None:
    """Converge repeatedly, like the daemon, until the process is ended."""
    import yaml  # noqa: PLC0415  # the tests use the class alone

    parser = argparse.ArgumentParser(prog="python -m occopus_config_chef.testing.client", description=__doc__)
    parser.add_argument("file", type=Path, help="the mapping `chef` of cloud-init")
    parser.add_argument("--address", default="127.0.0.1", help="the address of the machine")
    parser.add_argument("--validation-key", type=Path, help="file with the validation_key, where FILE has none")
    parser.add_argument("--output", type=Path, help="where the node is written as JSON after each run")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two runs")
    options = parser.parse_args()
    kept = options.file.with_name(KEY)
    settings = yaml.safe_load(options.file.read_text())
    if options.validation_key is not None:
        settings["validation_key"] = options.validation_key.read_text()
    client = ChefClient(settings, options.address, kept.read_text() if kept.exists() else "")
    while True:
        try:
            node = client.run()
            if options.output is not None:
                options.output.write_text(json.dumps(node, indent=1) + "\n")
        except ConflictError as error:
            raise SystemExit(f"another client has this name: {error}") from None
        except ProviderError as error:
            print(error, flush=True)  # noqa: T201  # the log of the daemon
        if client.key and not kept.exists():
            kept.touch(mode=0o600)
            kept.write_text(client.key)
        time.sleep(options.interval)


if __name__ == "__main__":
    main()
