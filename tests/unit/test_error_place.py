"""The place of an exception in a plugin."""

from __future__ import annotations

import json
import sys
import types

import pytest

from occopus_core.error_place import described, import_failure, place, place_of
from occopus_core.testing.memory import MemoryHandler


@pytest.fixture
def module(tmp_path, monkeypatch):
    """A function that imports the text of a module by its name."""

    def imported(name, text):
        file = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        file.parent.mkdir(exist_ok=True)
        made = types.ModuleType(name)
        monkeypatch.setitem(sys.modules, name, made)
        exec(compile(text, str(file), "exec"), made.__dict__)
        return made

    return imported


def raised(call, *arguments):
    with pytest.raises(Exception) as caught:  # noqa: PT011 - whichever it raises
        call(*arguments)
    error = caught.value
    error.__traceback__ = error.__traceback__.tb_next  # without the frame of this test
    return error


def test_it_is_the_innermost_frame_of_the_plugin(module):
    errors = module("minihost.errors", "\n\ndef look_up(values, name):\n    return values[name]\n")
    handler = module("minihost.handler", "def describe(look_up):\n    return look_up({'secret': 1}, 'nope')\n")
    error = raised(handler.describe, errors.look_up)
    assert described(error) == "KeyError (minihost/errors.py, line 4)"
    assert import_failure(error, "minihost") == "KeyError (minihost/errors.py, line 4)"


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("/site/minihost/sub/__init__.py", "minihost/sub/__init__.py"),
        ("/site/minihost.py", "minihost.py"),
        ("/minihost/src/minihost/handler.py", "minihost/handler.py"),
        ("/site/library/core.py", "/site/library/core.py"),
    ],
)
def test_a_syntax_error_has_its_file_from_the_package_on(file, shown):
    with pytest.raises(SyntaxError) as caught:
        compile("\n1 +", file, "exec")
    assert import_failure(caught.value, "minihost") == f"invalid syntax ({shown}, line 2)"


def test_what_an_import_does_not_find_is_shown():
    assert import_failure(ModuleNotFoundError("No module named 'lib'"), "minihost") == "No module named 'lib'"
    assert import_failure(ImportError(), "minihost") == "ImportError"
    long = import_failure(ImportError("no lib\n\x1b[31m\ud800" + "z" * 5000), "minihost")
    assert (long[:9], len(long)) == ("no lib zz", 2000)


def test_libraries_that_the_plugin_calls_are_not_the_place(module):
    library = module("somelibrary.core", "def act():\n    return 1 / 0\n")
    text = "import json\n\ndef read(text):\n    return json.loads(text)\n\ndef call(act):\n    act()\n"
    handler = module("minihost.handler", text)
    assert place(raised(handler.read, "{")) == " (minihost/handler.py, line 4)"
    assert place(raised(handler.call, library.act)) == " (minihost/handler.py, line 7)"


def test_a_package_and_a_module_without_one_have_their_names(module):
    assert place(raised(module("plugin", "def act():\n    1 / 0\n").act)) == " (plugin.py, line 2)"
    made = module("minihost.__init__", "def act():\n    1 / 0\n")
    made.__dict__["__name__"] = "minihost"
    assert place(raised(made.act)) == " (minihost/__init__.py, line 2)"


def test_another_package_can_be_named(module):
    loader = module("loader", "def load(act):\n    act()\n")
    plugin = module("minihost.handler", "def act():\n    1 / 0\n")
    error = raised(loader.load, plugin.act)
    assert place(error, "minihost") == " (minihost/handler.py, line 2)"
    assert place(error, "absent") == ""


def test_the_core_and_an_error_that_was_never_raised_have_no_place():
    assert place(raised(MemoryHandler, None, None, None, None)) == ""
    assert place(raised(json.loads, "{")) == ""
    assert described(KeyError("id")) == "KeyError"
    assert import_failure(KeyError("id"), "minihost") == "KeyError"
    assert described(SystemExit()) == "SystemExit"


def test_the_place_of_a_function_is_where_it_begins(module):
    wrapped = "@functools.wraps(f)\ndef g(self): ...\n"
    text = f"import functools\n\ndef f(self): ...\n\n{wrapped}\nclass C:\n    def m(self): ...\n"
    made = module("minihost.handler", text)
    assert place_of(made.f) == place_of(made.g) == " (minihost/handler.py, line 3)"
    assert place_of(made.C().m) == " (minihost/handler.py, line 9)"
    assert [place_of(one) for one in (None, 5, len, MemoryHandler.create)] == [""] * 4
