"""The configuration: found in its places, harmless whatever its content, and fast without a file."""

import io
import logging
import logging.handlers
import subprocess
import sys
from pathlib import Path

import pytest

from occopus_core.descriptions.problems import DescriptionError
from occopus_core.settings import Settings

ROOT = Path(__file__).parents[2]
OLD = """\
plugins: !python_import
  - occo.infobroker
  - os
components:
  rest:
    host: 0.0.0.0
    port: 5001
    threads: 3
  resourcehandler: !ResourceHandler &rh
    protocol: null
  infobroker: !InfoRouter
    sub_providers:
      - !DynamicStateProvider {resource_handler: *rh}
      - !SynchronizationProvider
  eventlog: !!python/object/apply:os.mkdir [made]
logging:
  version: 1
  root: {level: DEBUG, handlers: [console]}
  formatters: {short: {format: "** %(message)s"}}
  handlers:
    console: {class: logging.StreamHandler, formatter: short, level: INFO, stream: ext://sys.stdout}
"""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    folder = tmp_path / "home"
    (folder / ".occopus").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder / ".occopus"


@pytest.fixture
def root_logger():
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield root
    for handler in root.handlers:
        if handler not in before[0]:
            handler.close()
    root.handlers[:], root.level = before


def written(path, text):
    path.write_text(text)
    return str(path)


def test_defaults(home):
    settings = Settings.load(environ={})
    assert settings == Settings(store=f"sqlite:///{home}/occopus.db")
    assert (settings.rest_host, settings.rest_port, settings.logging, settings.warnings) == (
        "127.0.0.1",
        5000,
        None,
        (),
    )


def test_the_order_in_which_files_are_looked_for(home, tmp_path):
    given = written(tmp_path / "given.yaml", "components: {rest: {port: 1001}}\n")
    named = written(tmp_path / "named.yaml", "components: {rest: {port: 1002}}\n")
    written(home / "occopus_config.yaml", "components: {rest: {port: 1003}}\n")
    environ = {"OCCOPUS_CONFIG_PATH": named}
    assert Settings.load(given, environ).rest_port == 1001
    assert Settings.load(None, environ).rest_port == 1002
    assert Settings.load(None, {}).rest_port == 1003


@pytest.mark.parametrize("how", ["path", "environ"])
def test_a_file_that_is_asked_for_must_be_there(how):
    with pytest.raises(DescriptionError, match=r"none\.yaml: there is no such file"):
        Settings.load(*(("none.yaml", {}) if how == "path" else (None, {"OCCOPUS_CONFIG_PATH": "none.yaml"})))


def test_store(home, tmp_path):
    file = written(tmp_path / "c.yaml", "store: sqlite:///~/x.db\n")
    assert Settings.load(file, {}).store == f"sqlite:///{home.parent}/x.db"
    assert Settings.load(file, {"OCCOPUS_STORE": "postgresql://me:pw@db/x"}).store == "postgresql://me:pw@db/x"
    assert "pw@db" not in repr(Settings.load(file, {"OCCOPUS_STORE": "postgresql://me:pw@db/x"}))


def test_an_old_file_loads_and_the_rest_is_reported_once(tmp_path):
    settings = Settings.load(written(tmp_path / "old.yaml", OLD), {})
    assert (settings.rest_host, settings.rest_port) == ("0.0.0.0", 5001)
    (warning,) = settings.warnings
    assert warning.startswith(f"{tmp_path}/old.yaml: these settings are not used and were ignored: plugins, ")
    ignored = warning.rpartition(": ")[2].split(", ")
    components = ["resourcehandler", "infobroker", "eventlog", "rest.threads"]
    assert ignored == ["plugins", *(f"components.{name}" for name in components)]
    assert not (tmp_path / "made").exists()


def test_logging_goes_to_stderr_even_where_stdout_is_written(tmp_path, root_logger, monkeypatch):
    err, out = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    monkeypatch.setattr(sys, "stdout", out)
    Settings.load(written(tmp_path / "old.yaml", OLD), {}).apply_logging()
    logging.getLogger("occopus").info("hello")
    assert (err.getvalue(), out.getvalue()) == ("** hello\n", "")


def test_loggers_that_exist_stay_alive(tmp_path, root_logger):
    early = logging.getLogger("occopus.early")
    Settings.load(written(tmp_path / "old.yaml", OLD), {}).apply_logging()
    assert not early.disabled


def test_every_handler_that_is_allowed(home, tmp_path, root_logger):
    text = """\
logging:
  version: 1
  handlers:
    a: {class: logging.FileHandler, filename: a.log, mode: w, encoding: utf-8, delay: true}
    b: {class: logging.handlers.WatchedFileHandler, filename: b.log, delay: true}
    c: {class: logging.handlers.RotatingFileHandler, filename: ~/c.log, maxBytes: 1000, backupCount: 2, delay: true}
    d: {class: logging.handlers.TimedRotatingFileHandler, filename: d.log, when: midnight, utc: true, delay: true}
    e: {class: logging.NullHandler}
    f: {class: logging.StreamHandler}
  root: {handlers: [a, b, c, d, e, f]}
"""
    Settings.load(written(tmp_path / "c.yaml", text), {}).apply_logging()
    kinds = [type(handler).__name__ for handler in root_logger.handlers[-6:]]
    assert kinds == [
        "FileHandler",
        "WatchedFileHandler",
        "RotatingFileHandler",
        "TimedRotatingFileHandler",
        "NullHandler",
        "StreamHandler",
    ]
    assert root_logger.handlers[-4].baseFilename == str(home.parent / "c.log")


def test_logging_that_cannot_be_set_up(tmp_path, root_logger):
    handler = "a: {class: logging.FileHandler, filename: sub}"
    text = f"logging:\n  version: 1\n  handlers:\n    {handler}\n  root: {{handlers: [a]}}\n"
    (tmp_path / "sub").mkdir()
    settings = Settings.load(written(tmp_path / "c.yaml", text), {})
    with pytest.raises(DescriptionError, match=r"logging: logging cannot be set up: .*sub'"):
        settings.apply_logging()


def test_without_logging_nothing_is_touched(root_logger):
    before = root_logger.handlers[:]
    Settings.load(environ={}).apply_logging()
    assert root_logger.handlers == before


def test_no_file_costs_no_import():
    code = (
        "import sys; from occopus_core.settings import Settings; Settings.load(environ={}).apply_logging()\n"
        "print(sorted(m for m in sys.modules if m.split('.')[0] in {'yaml', 'jsonschema', 'logging', 'pathlib'}"
        " or m.startswith('occopus_core.descriptions')))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("[]\n", "")


@pytest.mark.parametrize("text", ["dry_run: True\n", "components: {dry_run: True}\n"])
def test_dry_run_is_obeyed(tmp_path, text):
    settings = Settings.load(written(tmp_path / "c.yaml", text), {})
    assert (settings.dry_run, settings.warnings) == (True, ())


def test_the_service_without_tokens(tmp_path):
    file = written(tmp_path / "c.yaml", "components: {rest: {insecure: true}}\n")
    assert Settings.load(file, {}).rest_insecure
    assert not Settings.load(file, {"OCCOPUS_REST_INSECURE": "0"}).rest_insecure
    assert Settings.load(None, {"OCCOPUS_REST_INSECURE": "1"}).rest_insecure
    assert not Settings.load(None, {"OCCOPUS_REST_INSECURE": ""}).rest_insecure
    with pytest.raises(DescriptionError, match="OCCOPUS_REST_INSECURE: 'perhaps' is not possible: write 1 or 0"):
        Settings.load(None, {"OCCOPUS_REST_INSECURE": "perhaps"})


def test_a_log_file_whose_folder_is_missing_goes_to_stderr(tmp_path, root_logger, monkeypatch):
    text = """\
logging:
  version: 1
  formatters: {short: {format: "** %(message)s"}}
  handlers:
    file: {class: logging.FileHandler, filename: no/such/occopus.log, mode: w, level: INFO, formatter: short}
  root: {level: DEBUG, handlers: [file]}
"""
    err = io.StringIO()
    monkeypatch.setattr(sys, "stderr", err)
    settings = Settings.load(written(tmp_path / "c.yaml", text), {})
    settings.apply_logging()
    logging.getLogger("occopus").info("hello")
    assert settings.warnings == ("logging.handlers.file: there is no folder no/such: it logs to standard error",)
    assert err.getvalue() == "** hello\n"
