"""The first hour of a user: a real terminal at 80 and 120 columns, then the page at 1400 and 390 pixels."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import expect

from occopus_core.testing import sshd

from ...conftest import SCRIPTS
from .terminal import Terminal

pytestmark = pytest.mark.integration

SSHD = Path(__file__).parents[4] / "examples" / "following" / "sshd.sh"
HEAD = "infra_name: own\nuser_id: me@example.com\nnodes:\n"
MISTAKES = {
    "indented": (HEAD + "- name: web\n type: quickstart_web\n", "5:2: not valid YAML"),
    "key": (HEAD + "- {name: web, type: quickstart_web, scalling: {max: 3}}\n", "did you mean 'scaling'?"),
    "type": (HEAD + "- {name: web, type: quickstart_wep}\n", "did you mean 'quickstart_web'?"),
    "edge": (HEAD + "- {name: web, type: quickstart_web}\ndependencies:\n- [web, wep]\n", "did you mean 'web'?"),
    "limit": (HEAD + "- {name: web, type: quickstart_web, scaling: {min: two}}\n", "'two'"),
}
"""By name: a description with one typical mistake, and a part of its message."""


@pytest.fixture
def door(user):
    """The files `door-nodes.yaml` and `door.yaml`: a node with an SSH server of its own, and the key for it."""
    if reason := sshd.lacking():
        pytest.skip(reason)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", user.folder / "key"], check=True)
    files = {"authorized_keys": (user.folder / "key.pub").read_text(), "sshd.sh": SSHD.read_text()}
    node = {
        "resource": {"type": "local"},
        "contextualisation": {
            "type": "cloudinit",
            "context_template": {
                "write_files": [{"path": path, "content": content} for path, content in files.items()],
                "runcmd": ["sh sshd.sh"],
            },
        },
        "health_check": {"ping": False, "ssh": {"command": "true", "user": "root", "port": 2222}},
    }
    user.write("door-nodes.yaml", json.dumps({"node_def:door": [node]}))
    user.write("door.yaml", HEAD + "- {name: door, type: door}\n")
    private = {"private_key": (user.folder / "key").read_text()}
    auth = user.folder / user.write("auth.yaml", json.dumps({"health_check": [{"type": "ssh", "auth_data": private}]}))
    auth.chmod(0o600)
    user.environ["OCCOPUS_AUTH_DATA_PATH"] = str(auth)


@pytest.fixture
def terminal(user, door, shots):
    """A terminal in which the commands are found."""
    if shutil.which("tmux") is None:
        pytest.skip("tmux is not installed: apt-get install tmux")
    crash = {
        "resource": {"type": "local"},
        "contextualisation": {
            "type": "cloudinit",
            "context_template": {"runcmd": ["echo cannot open the database >&2; exit 3"]},
        },
        "health_check": {"ping": False, "ports": [1], "timeout": 500},
    }
    user.write("crash-nodes.yaml", json.dumps({"node_def:crash": [crash]}))
    user.write("crash.yaml", HEAD + "- {name: db, type: crash}\n")
    for name, (text, _) in MISTAKES.items():
        user.write(f"own-{name}.yaml", text)
    environ = {**user.environ, "PATH": f"{SCRIPTS}:{user.environ['PATH']}"}
    with Terminal(user.folder, environ, 80, shots) as terminal:
        yield terminal


def test_the_first_hour(user, terminal, serve, question, kill_node):
    built = terminal.run("occopus-build --nodes nodes.yaml infra.yaml", name="build")
    assert "infrastructure ready" in built
    infra_id = built.splitlines()[-2]
    refuses_mistakes(terminal)
    failed = terminal.run("occopus-build --nodes crash-nodes.yaml crash.yaml", name="failing", code=1)
    assert "ended with exit status 3: cannot open the database" in failed
    assert failed.rstrip().splitlines()[-2] == "the build failed and was undone"
    assert '"GET / HTTP/1.1" 200' in terminal.run("occopus-logs -i quickstart web", name="logs")
    assert "name one of web " in terminal.run("occopus-ssh -i quickstart web", name="ssh", code=3)
    enters(terminal)

    terminal.run("occopus-scale -i quickstart -n web -s 3", name="scale")
    assert "node ready web" in terminal.run("occopus-maintain -i quickstart", name="scaled")
    lost = next(iter(user.report(infra_id)["web"]["instances"]))
    kill_node(user, lost)
    terminal.run("occopus-maintain -i quickstart", name="healed")
    assert "its supervisor was ended from outside" in user.ready("maintain", "--events", "-i", infra_id).stdout
    report = user.report(infra_id)
    assert len(report["web"]["instances"]) == 3
    assert lost not in report["web"]["instances"]
    for columns in (80, 120):
        terminal.resize(columns)
        for words, name in (("-l", "list"), ("-r -i quickstart", "report"), ("-i quickstart --events", "events")):
            assert terminal.fits(terminal.run(f"occopus-maintain {words}", name=name)) or name == "events"

    with serve(user) as (_, client):
        visitor = question(client)
        for width in (1400, 390):
            page = visitor.go("#/")
            visitor.look(f"walk-list-{width}", width=width)
            page.get_by_role("link", name="quickstart").click()
            web = page.get_by_role("region", name="web", exact=True)
            expect(web.get_by_role("row").filter(has_text="ready")).to_have_count(3)
            expect(page.get_by_role("region", name="Events")).to_contain_text("healing")
            visitor.look(f"walk-infrastructure-{width}", whole=True)
            web.get_by_role("button", name="Output of web-").first.click()
            expect(page.get_by_role("dialog")).to_contain_text("GET / HTTP/1.1")
            visitor.look(f"walk-output-{width}")
            page.get_by_role("dialog").get_by_role("button", name="Close").click()
            page.get_by_role("link", name="Edit").click()
            field = page.get_by_label("Description")
            field.fill(field.input_value().replace("Hello from", "Good morning from"))
            page.get_by_role("button", name="Show the plan").click()
            plan = page.get_by_role("region", name="Plan")
            expect(plan).to_contain_text("Replace 3 instances of web")
            expect(plan).to_contain_text("'Good morning from Occopus'")
            visitor.look(f"walk-plan-{width}", whole=True)

    user.ready("maintain", "-i", "quickstart")  # finishes the interrupted pass of the service
    gone = terminal.run("occopus-destroy -i quickstart", name="destroy", answers=(("[y/N]", "y"),))
    assert re.search(r"with 4 instances\? \[y/N\]\s+y\n- node dropped loadbalancer", gone), gone
    assert gone.count("node dropped web") == 3
    assert "under way" not in gone
    assert user.query("SELECT count(*) FROM infrastructures") == [(0,)]


def enters(terminal):
    terminal.run("occopus-build --nodes door-nodes.yaml door.yaml -i door", name="door")
    words = "echo this is $OCCOPUS_NODE_ADDRESS; exit"
    inside = terminal.run("occopus-ssh -i door", name="ssh-session", answers=(("#", words),))
    assert re.search(r"^this is 127\.\d+\.\d+\.\d+$", inside, re.MULTILINE), inside
    asked = terminal.run("occopus-ssh -i door door -- 'echo this is $OCCOPUS_NODE_ADDRESS'", name="ssh-command")
    assert "this is 127." in asked
    terminal.run("occopus-destroy -y -i door", name="door-destroyed")


def refuses_mistakes(terminal):
    for name, (_, message) in MISTAKES.items():
        refused = terminal.run(f"occopus-build --plan own-{name}.yaml", name=f"mistake-{name}", code=2)
        assert f"error: own-{name}.yaml:" in refused
        assert message in refused
        assert refused.count("error:") == 1
        assert "Traceback" not in refused
        assert "usage:" not in refused
