"""The life cycle of published descriptions in a network where Azure's names lead to this machine."""

from __future__ import annotations

import json
import re
import shutil
import socket
import sys
import threading
from pathlib import Path

from occopus_resource_azure.testing import CLIENT_ID, CLIENT_SECRET, GROUP, REGION, SUBSCRIPTION, TENANT, AzureCloud
from tests.integration.conftest import Workspace, wait_until

PLACEHOLDERS = {
    "resource_group_name": GROUP,
    "location": REGION,
    "vm_size": "Standard_B1s",
    "publisher_name": "Canonical",
    "offer": "ubuntu",
    "sku": "server",
    "version": "latest",
    "admin_username": "occopus",
    "admin_password": "correct-Horse-7",
    "memory": "1",
    "cpu_cores": "1",
}
TYPES = ("Microsoft.Compute/virtualMachines", "Microsoft.ContainerInstance/containerGroups")


def main(source: Path, node: str, folder: Path) -> None:
    """From import to destruction. Raises `AssertionError`."""
    server = socket.create_server(("", 80), backlog=64)  # what containers serve
    threading.Thread(target=lambda: [server.accept()[0].close() for _ in iter(int, 1)], daemon=True).start()
    with AzureCloud(host="management.azure.com", port=443) as cloud:
        user = Workspace(folder)
        user.environ.update(cloud.environment)
        _credentials(user.home / ".occopus")
        shutil.copytree(source, folder / "described")
        nodes = folder / "described" / "nodes" / "node_definitions.yaml"
        text = re.sub(r"^(\s+[^#\n]*)replace_with_(\w+)", _filled, nodes.read_text(), flags=re.MULTILINE)
        nodes.chmod(0o600)
        nodes.write_text(text)
        (infrastructure,) = (folder / "described").glob("infra-*.yaml")

        def machines() -> list[dict]:
            return [one for one in cloud.inventory() if one["type"] in TYPES and one["state"] != "Deleting"]

        user.ready("import", str(nodes))
        user.ready("build", str(infrastructure), "-i", "world")
        assert len(machines()) == 2
        assert "(the maximum is 1)" in user.ready("scale", "-i", "world", "-n", node, "-c", "1").stderr
        (lost,) = user.report("world")[node]["instances"]
        cloud.lose(next(one["id"] for one in machines() if one["tags"]["occopus-node_id"] == lost))

        def healed() -> bool:
            user.ready("maintain", "-i", "world")
            return len(machines()) == 2 and lost not in user.report("world")[node]["instances"]

        wait_until(healed)
        user.ready("destroy", "-i", "world")
        assert cloud.inventory() == []
        assert list(cloud.account.groups) == [GROUP]


def _credentials(folder: Path) -> None:
    auth = {"tenant_id": TENANT, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}
    entries = [
        {"type": type, "auth_data": {**auth, "subscription_id": SUBSCRIPTION}} for type in ("azure_vm", "azure_aci")
    ]
    folder.mkdir()
    (folder / "auth_data.yaml").write_text(json.dumps({"resource": entries}))
    (folder / "auth_data.yaml").chmod(0o600)


def _filled(match: re.Match[str]) -> str:
    return match[1] + PLACEHOLDERS[match[2]]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    print("done")
