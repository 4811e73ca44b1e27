"""An unusable store: one line with the reason, the documented exit code, and no effect."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

COMMANDS = {
    "import": ["import", "nodes.yaml"],
    "build": ["build", "trial.yaml", "-i", "x"],
    "plan": ["build", "trial.yaml", "--plan"],
    "list": ["maintain", "-l"],
    "report": ["maintain", "-r", "-i", "x"],
    "destroy": ["destroy", "-i", "x"],
}
AS_OTHERS_ARE = (
    # root may write whatever the permissions of a file are, unless it gives that power (CAP_DAC_OVERRIDE) away
    sys.executable,
    "-c",
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(24, 1); os.execv(sys.argv[1], sys.argv[1:])",
)


@pytest.fixture(params=COMMANDS)
def words(request):
    return COMMANDS[request.param]


def refused(workspace, words, url: str | None = None, **how) -> str:
    """The only line of output."""
    ended = workspace.run(*words, environ={"OCCOPUS_STORE": url} if url else {}, **how)
    assert (ended.code, ended.stdout) == (4, ""), ended
    (line,) = ended.complaint
    return line


def test_no_database(ready, cloud, words):
    text = ready.write("text.db", "Dear diary, " * 100)
    assert "text.db cannot be" in (line := refused(ready, words, f"sqlite:///{text}"))
    assert "not a database" in line
    assert Path(text).read_text() == "Dear diary, " * 100
    assert cloud.inventory() == []


def test_a_folder(ready, words):
    assert str(ready.home) in refused(ready, words, f"sqlite:///{ready.home}")


@pytest.mark.parametrize("name", ["import", "build", "plan", "report", "destroy"])
def test_a_store_from_the_future(ready, cloud, name):
    with contextlib.closing(sqlite3.connect(ready.store)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    line = refused(ready, COMMANDS[name])
    assert "9999" in line
    assert "upgrade Occopus" in line
    assert cloud.inventory() == []


@pytest.mark.parametrize("name", ["import", "build", "report", "destroy"])
def test_a_folder_that_cannot_be_made(ready, name):
    url = f"sqlite:///{ready.store}/below/a/file.db"
    assert f"{ready.store}" in refused(ready, COMMANDS[name], url)


@pytest.mark.parametrize("name", ["import", "build", "destroy"])
def test_a_read_only_store(ready, cloud, name):
    ready.ready("build", "trial.yaml", "-i", "x")
    before = cloud.inventory()
    ready.store.chmod(0o400)
    ended = ready.run(*COMMANDS[name], before=AS_OTHERS_ARE)
    assert (ended.code, ended.stdout) == (4, "")
    assert ended.complaint[-1].startswith("error: the store ")
    assert f"{ready.store} cannot be used: " in ended.complaint[-1]
    assert "readonly" in ended.complaint[-1]
    assert not any("occopus-destroy" in line for line in ended.complaint), "what runs well is not to be destroyed"
    assert cloud.inventory() == before
    assert "x\ttrial\tready" in ready.ready("maintain", "-l", before=AS_OTHERS_ARE).stdout


@pytest.mark.parametrize("words", [["maintain", "-i", "x"], ["destroy", "-i", "x"]], ids=["maintain", "destroy"])
def test_a_store_that_was_repaired_by_half(ready, cloud, words):
    ready.ready("build", "trial.yaml", "-i", "x")
    before = cloud.inventory()
    with contextlib.closing(sqlite3.connect(ready.store)) as connection:
        connection.execute("DELETE FROM implementations")
        connection.commit()
    ended = ready.run(*words)
    assert (ended.code, ended.stdout) == (4, "")
    assert "is not in the store any more: import its file again" in ended.complaint[0]
    assert cloud.inventory() == before
    ready.ready("import", "nodes.yaml")
    ready.ready(*words)


def test_a_home_that_is_read_only(ready):
    ready.home.chmod(0o500)
    line = refused(ready, COMMANDS["import"], f"sqlite:///{ready.home}/.occopus/occopus.db", before=AS_OTHERS_ARE)
    assert "Permission denied" in line


@pytest.mark.parametrize("url", ["nonsense", "mysql+nope://me:geheim@h/db", "postgresql://me:geheim@127.0.0.1:1/db"])
def test_a_url_that_leads_nowhere_shows_no_password(ready, words, url):
    assert "geheim" not in refused(ready, words, url)


def test_without_a_home_variable(ready):
    words = ["--cfg", ready.write("config.yaml", "{}"), "--auth_data_path", ready.write("auth.yaml", "resource: []")]
    assert ready.ready("build", "trial.yaml", *words, "-i", "homeless", environ={"HOME": None}).stdout == "homeless\n"


def test_a_command_waits_for_a_locked_store(ready):
    with contextlib.closing(sqlite3.connect(ready.store, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        waiting = ready.start("import", "nodes.yaml")
        assert ready.ready("maintain", "-l").stdout == "", "who only reads need not wait"
        assert waiting.poll() is None
        connection.execute("COMMIT")
    assert ready.end(waiting).stdout == "Successfully imported nodes: worker\n"


def test_the_store_is_the_users_alone(ready):
    shutil.rmtree(ready.home)
    ready.ready("import", "nodes.yaml", environ={"OCCOPUS_STORE": f"sqlite:///{ready.home}/.occopus/occopus.db"})
    assert (ready.home / ".occopus").stat().st_mode & 0o777 == 0o700
    assert (ready.home / ".occopus" / "occopus.db").stat().st_mode & 0o777 == 0o600
