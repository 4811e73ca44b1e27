"""The generated pages of the documentation: a complete page for each command and plugin."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from occopus_core.installed import installed_plugins

ROOT = Path(__file__).parents[2]
SITE = ROOT / "contrib" / "site"
BIN = Path(sys.executable).parent


@pytest.fixture(scope="module")
def generated():
    """The pages of commands and plugins, by their paths. By another process: the modules are imported from a folder."""
    program = """
import json, sys
sys.path[:0] = sys.argv[1:]
import command_pages, plugin_pages, python_pages
print(json.dumps({**command_pages.pages(), **plugin_pages.pages(), **python_pages.pages()}))
"""
    command = [sys.executable, "-c", program, str(SITE), str(SITE.parent)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True, timeout=600).stdout)


def test_every_command_has_a_page_with_all_its_options(generated):
    for name in sorted(path.name for path in BIN.glob("occopus-*") if "simulated" not in path.name):
        page = generated[f"reference/commands/{name}.md"]
        environ = {**os.environ, "COLUMNS": "200"}
        help_text = subprocess.run(
            [BIN / name, "--help"], check=True, capture_output=True, text=True, env=environ
        ).stdout
        options = re.findall(r"(?<![\w-])--?[a-z][\w-]*", help_text)
        assert len(options) > 2
        assert [option for option in options if f"{option} " not in page and f"{option}`" not in page] == []


def test_actions_of_a_command_have_their_own_sections(generated):
    page = generated["reference/commands/occopus-rest-service.md"]
    assert "occopus-rest-service token create\n" in page
    assert "`--scope {read,scale,write}` | **Required.** |" in page
    assert "`--infra ID`" in page


def test_every_plugin_has_a_page_with_all_its_keys(generated):
    plugins = [one for one in installed_plugins() if one.distribution.startswith("occopus-")]
    assert len(plugins) > 15
    for one in plugins:
        page = generated[f"reference/plugins/{one.kind}-{one.type}.md"]
        for key in one.schema.get("properties", {}):
            assert f"| `{key}` |" in page
        for key in one.schema.get("required", ()):
            (line,) = re.findall(rf"^\| `{key}` \|.*$", page, re.MULTILINE)
            assert "**Required.**" in line


def test_keys_of_sections_are_on_the_page_too(generated):
    page = generated["reference/plugins/config-ssh.md"]
    assert "| `jump.host` |" in page
    assert "| `commands[].run` |" in page


def test_no_cell_of_a_table_breaks_it(generated):
    for path, page in generated.items():
        for table in re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE):
            columns = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(columns) == 1, path
