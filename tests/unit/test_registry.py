"""Plugins as found among the installed packages."""

import re
import shutil
import subprocess
import sys
import threading
import types
from importlib.metadata import entry_points
from pathlib import Path

import pytest
from stevedore.extension import ExtensionManager

from occopus_core import plugin_import, registry
from occopus_core.api import Context, PermanentError, SectionFault
from occopus_core.contextualisers.basic import Basic
from occopus_core.error_place import UNEXPECTED
from occopus_core.installed import installed_plugins
from occopus_core.registry import PluginError, Registry, imported
from occopus_core.sound_errors import LONGEST_TEXT
from occopus_core.testing.memory import MemoryHandler
from tests.unit.engine.fakes import config_manager, contextualiser
from tests.unit.plugins import CHECKER as PLUGIN
from tests.unit.plugins import put


def refusal(name):
    with pytest.raises(PluginError) as caught:
        Registry().health(name)
    return str(caught.value)


def test_finds_what_is_installed(install):
    install("one", "pulse", "found_pulse:Checker", PLUGIN.format(version=1))
    known = Registry()
    assert known.health("pulse").__module__ == "found_pulse"
    assert "pulse" in known.installed("health")


def test_two_of_one_name_are_refused(install):
    install("one", "twin", "first_twin:Checker", PLUGIN.format(version=1))
    install("two", "twin", "second_twin:Checker", PLUGIN.format(version=1))
    assert refusal("twin") == "the health checker 'twin' is provided by one and by two: uninstall one of them"


def test_what_is_installed_while_the_process_runs_is_usable_at_once(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    known = Registry()
    with pytest.raises(PluginError, match="there is no health checker 'late'"):
        known.health("late")
    put(tmp_path, "late-one", "late", "late_pulse:Checker", PLUGIN.format(version=1))
    assert known.health("late").__module__ == "late_pulse"
    put(tmp_path, "late-old", "late_old", "late_old_pulse:Checker", PLUGIN.format(version=0))
    assert "speaks version 0" in refusal("late_old")
    put(tmp_path, "late-bad", "late_bad", "late_bad_pulse:Checker", "1 / 0")
    assert "cannot be imported: ZeroDivisionError" in refusal("late_bad")
    put(tmp_path, "late-two", "late_twin", "late_first:Checker", PLUGIN.format(version=1))
    put(tmp_path, "late-three", "late_twin", "late_second:Checker", PLUGIN.format(version=1))
    assert "is provided by late-three and by late-two: uninstall one of them" in refusal("late_twin")


def test_a_plugin_uninstalled_while_the_process_runs_no_longer_clashes(install, tmp_path):
    install("stays", "pair", "stays_pulse:Checker", PLUGIN.format(version=1))
    install("goes", "pair", "goes_pulse:Checker", PLUGIN.format(version=1))
    assert "is provided by goes and by stays" in refusal("pair")
    shutil.rmtree(tmp_path / "goes-1.0.dist-info")
    assert Registry().health("pair").__module__ == "stays_pulse"


def test_a_module_that_only_a_new_process_finds_says_so(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    refusal("linked")
    put(tmp_path, "linked-one", "linked", "linked_pulse:Checker", "")
    (tmp_path / "linked_pulse.py").unlink()  # like a module installed with -e
    assert refusal("linked") == (
        "the health checker 'linked' of linked-one cannot be imported: No module named 'linked_pulse'; "
        "this process cannot find it, since it was installed after the start: start the process again"
    )


def test_an_import_that_hangs_is_given_up_with_its_place_and_waited_for_once(install, monkeypatch):
    reached, opened = threading.Event(), threading.Event()

    def wait():
        reached.set()
        opened.wait()

    gate = types.ModuleType("test_gate")
    gate.wait = wait
    monkeypatch.setitem(sys.modules, "test_gate", gate)
    install("slow-one", "slow", "slow_pulse:Checker", f"import test_gate\ntest_gate.wait()\n{PLUGIN.format(version=1)}")
    with monkeypatch.context() as hasty:
        hasty.setattr(plugin_import.PluginThread, "join", lambda _self, _seconds: reached.wait())
        assert refusal("slow") == (
            "the health checker 'slow' of slow-one cannot be imported: its import has not ended for 60 s "
            "(slow_pulse.py, line 2); report it to its author"
        )
    (point,) = entry_points(group="occopus.health", name="slow")
    with pytest.raises(PluginError, match="its import has not ended"):
        imported("health", point)
    (thread,) = [each for each in threading.enumerate() if each.name == "occopus-import"]
    opened.set()
    thread.join()
    assert Registry().health("slow").__module__ == "slow_pulse"
    assert not plugin_import._under_way


def test_a_plugin_that_lacks_a_module_names_the_command_that_lists_what_it_needs(install):
    install("lacking", "lacking", "lacking_pulse:Checker", "raise ImportError('no libpulse')", requires=["libpulse"])
    assert refusal("lacking").endswith("no libpulse; `occopus-plugins show health/lacking` lists what it needs")


def test_a_type_that_no_description_should_have_to_quote(install):
    install("spaced-one", "two words", "spaced_pulse:Checker", PLUGIN.format(version=1))
    assert refusal("two words") == (
        "the health checker 'two words' of spaced-one breaks its contract: the name of its entry point is its type in "
        "descriptions: expected ASCII letters, digits, '_', '-', '.'; report it to its author"
    )


def test_one_distribution_that_is_found_twice_is_no_clash(install, tmp_path, monkeypatch):
    install("one-more", "double", "double_pulse:Checker", PLUGIN.format(version=1))
    again = tmp_path / "again"
    again.mkdir()
    put(again, "one_more", "double", "double_pulse:Checker", PLUGIN.format(version=1))
    monkeypatch.syspath_prepend(again)
    monkeypatch.setattr(ExtensionManager, "ENTRY_POINT_CACHE", {})
    assert Registry().health("double").__module__ == "double_pulse"
    listed = [one.state.value for one in installed_plugins() if one.type == "double"]
    assert listed == ["usable"]


AUTHOR = "report it to its author"
NEEDS = f"its distribution does not declare what it needs; {AUTHOR}"
POINT = "breaks its contract: its entry point of the group occopus.health names"


@pytest.mark.parametrize(
    ("target", "text", "message"),
    [
        ("broken_pulse:Checker", "raise ImportError('no libpulse')", f"cannot be imported: no libpulse; {NEEDS}"),
        (
            "zero_pulse:Checker",
            "\n\n1 / 0",
            f"cannot be imported: ZeroDivisionError (zero_pulse.py, line 3); {AUTHOR}",
        ),
        ("cut_pulse:Checker", "\n1 +", f"cannot be imported: invalid syntax (cut_pulse.py, line 2); {AUTHOR}"),
        (
            "interrupted_pulse:Checker",
            "\nraise KeyboardInterrupt('secret')",
            f"cannot be imported: KeyboardInterrupt (interrupted_pulse.py, line 2); {AUTHOR}",
        ),
        (
            "numeric_pulse:number",
            PLUGIN.format(version=1),
            f"{POINT} int, expected a class; {AUTHOR}",
        ),
        (
            "strange_pulse:Probe",
            "from occopus_core.api import Probe",
            f"{POINT} the class Probe, which is not derived from occopus_core.api.HealthChecker",
        ),
        (
            "misplaced_pulse:Notes",
            "from occopus_core.api import Notifier\nclass Notes(Notifier): ...",
            f"{POINT} the class Notes, which is a Notifier and belongs to the group occopus.notify (misplaced_pulse.py",
        ),
        (
            "worded_pulse:Checker",
            PLUGIN.format(version="'1'"),
            "breaks its contract: its class attribute contract_version is '1', expected the integer 1 (worded_pulse.py",
        ),
        (
            "true_pulse:Checker",
            PLUGIN.format(version=True),
            "breaks its contract: its class attribute contract_version",
        ),
        (
            "exact_pulse:Checker",
            PLUGIN.format(version=1.0),
            "breaks its contract: its class attribute contract_version",
        ),
        ("older_pulse:Checker", PLUGIN.format(version=0), "speaks version 0 of the plugin contract"),
        (
            "silent_pulse:Checker",
            PLUGIN.replace("    contract_version = {version}\n", "").format(),
            "does not say which version of the plugin contract it is written for",
        ),
        (
            "lacking_pulse:Checker",
            PLUGIN.replace("def check", "def chek").format(version=1),
            f"breaks its contract: its class Checker has no check (lacking_pulse.py, line 4); {AUTHOR}",
        ),
    ],
)
def test_what_cannot_be_used_says_why(install, target, text, message):
    install("one", "pulse", target, text)
    assert refusal("pulse").startswith(f"the health checker 'pulse' of one {message}")


def test_says_what_to_install(caplog, monkeypatch):
    health = {**registry._published()["health"], "ldap": "plugins/health/ldap"}
    monkeypatch.setattr(registry, "_published", lambda: {"health": health})
    assert (
        refusal("ldap")
        == "no health checker 'ldap' is installed: pip install ./plugins/health/ldap in a checkout of Occopus"
    )
    assert refusal("pulse") == (
        "there is no health checker 'pulse'; installed are: mysqldbs, ping, ports, ssh, urls; "
        "known and not installed: ldap"
    )
    assert refusal("port").startswith("there is no health checker 'port' (did you mean 'ports'?); installed are: ")
    assert caplog.records == []


ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("kind", registry._published())
def test_what_is_advised_is_a_folder_that_has_the_plugin(kind):
    """An index has none of the project's names: somebody else could register them there."""
    for name, folder in registry._published()[kind].items():
        assert f"{name} =" in (ROOT / folder / "setup.cfg").read_text()


def test_no_suggestion_names_a_package_of_an_index():
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    advice = re.compile(r"pip install[^\n]*[\s'\"]occopus[-_]")
    found = [
        f"{name}: {line}"
        for name in names
        if Path(name).suffix in {".py", ".md", ".cfg", ".toml", ".expected", ".sh", ""} and (ROOT / name).is_file()
        for line in (ROOT / name).read_text(errors="replace").splitlines()
        if advice.search(line) and "advice" not in line
    ]
    assert found == []


class Fussy(MemoryHandler):
    """Raises an exception in each method that is asked at import."""

    answer = None

    @classmethod
    def powers(cls, resource):
        return cls._asked(resource)

    sources = powers

    @classmethod
    def auth_fault(cls, auth):
        return cls._asked(auth)

    @classmethod
    def _asked(cls, section):
        return section["absent"] if cls.answer is None else cls.answer


@pytest.mark.parametrize("method", ["powers", "sources"])
def test_a_plugin_that_fails_when_it_is_asked_is_named_with_the_place(method):
    registry = Registry({("resource", "fussy"): Fussy})
    with pytest.raises(PluginError) as caught:
        registry.texts("resource", "fussy", method, {})
    line = Fussy._asked.__func__.__code__.co_firstlineno + 2
    where = f"(tests/unit/test_registry.py, line {line})"
    expected = f"the resource handler 'fussy' breaks its contract: {method}() raised KeyError {where}"
    assert str(caught.value) == f"{expected}; report it to its author"


@pytest.mark.parametrize("method", ["powers", "auth_fault", "way_in", "faults"])
def test_a_class_method_that_interrupts_is_one_message(method):
    def interrupt(_cls, *given):
        if any(given):
            raise KeyboardInterrupt
        return "" if method == "auth_fault" else ()

    kind, base = ("config", config_manager()) if method == "faults" else ("resource", MemoryHandler)
    registry = Registry({(kind, "mine"): type("Mine", (base,), {method: classmethod(interrupt)})})
    ask = {
        "powers": lambda: registry.texts("resource", "mine", "powers", {"a": 1}),
        "auth_fault": lambda: registry.auth_fault("mine", {"a": "b"}),
        "way_in": lambda: registry.way_in("mine", {}, "i-1"),
        "faults": lambda: registry.section_faults({"type": "mine"}),
    }
    with pytest.raises(PluginError, match=rf"'mine' breaks its contract: {method}\(\) raised KeyboardInterrupt \("):
        ask[method]()


@pytest.mark.parametrize("answer", ["a text", 5, [1], [None]])
def test_an_answer_that_is_no_sequence_of_texts_is_refused(answer):
    registry = Registry({("resource", "fussy"): type("Answers", (Fussy,), {"answer": answer})})
    with pytest.raises(PluginError, match=r"powers\(\) answered a value that is not a sequence of texts"):
        registry.texts("resource", "fussy", "powers", {})


def _change(given):
    given["added"] = object()
    given.pop("type", None)
    given.get("inner", {}).clear()


def test_a_plugin_may_change_what_it_is_given():
    class Changes(MemoryHandler):
        @classmethod
        def powers(cls, resource):
            _change(resource)
            return ["a power"]

        sources = exclusive = unshared = powers

        @classmethod
        def auth_fault(cls, auth):
            _change(auth)
            return ""

        @classmethod
        def way_in(cls, settings, id):
            _change(settings)
            return f"enter {id}"

    class ChangesContext(Basic):
        def contextualise(self, section, render):
            _change(section)
            return Context()

    class ChangesFaults(config_manager()):
        @classmethod
        def faults(cls, section):
            _change(section)
            return ()

    kinds = {"resource": Changes, "context": ChangesContext, "config": ChangesFaults}
    registry = Registry({(kind, "mine"): plugin for kind, plugin in kinds.items()})
    section, auth = {"type": "mine", "inner": {"a": 1}}, {"type": "password"}
    for method in ("powers", "sources", "exclusive", "unshared"):
        assert registry.texts("resource", "mine", method, section) == ["a power"]
    assert registry.auth_fault("mine", auth) == ""
    assert registry.way_in("mine", section, "i-1") == "enter i-1"
    assert registry.section_faults(section) == []
    assert registry.contextualised(section, None) == Context()
    assert (section, auth) == ({"type": "mine", "inner": {"a": 1}}, {"type": "password"})


def test_texts_of_class_methods_are_one_short_line_without_control_characters_and_secrets():
    class Says(MemoryHandler):
        @classmethod
        def auth_fault(cls, auth):
            return f"\x1b[31mno\nuser {auth.get('password')}" + "x" * 9_000

        @classmethod
        def way_in(cls, settings, id):
            return f"\x1b]0;title\x07enter\n{id}" + "x" * 9_000

    class Finds(config_manager()):
        @classmethod
        def faults(cls, section):
            return [SectionFault("type", "\x1b[31mwrong\nhere" + "x" * 9_000)] if section else ()

    registry = Registry({("resource", "mine"): Says, ("config", "mine"): Finds})
    texts = [
        registry.auth_fault("mine", {"password": "s3cret-value"}),
        registry.way_in("mine", {}, "i-1"),
        registry.section_faults({"type": "mine"})[0].message,
    ]
    assert [text.partition("xx")[0] for text in texts] == ["no user ***", "enter i-1", "wrong here"]
    assert [len(text) for text in texts] == [LONGEST_TEXT] * 3


def test_credentials_that_a_handler_fails_to_check_are_not_shown():
    class Shows(Fussy):
        @classmethod
        def auth_fault(cls, auth):
            raise ValueError(f"cannot read {auth['password']}")

    registry = Registry({("resource", "fussy"): Shows})
    with pytest.raises(PluginError) as caught:
        registry.auth_fault("fussy", {"password": "s3cret-value"})
    assert "auth_fault() raised ValueError (tests/unit/test_registry.py" in str(caught.value)


def test_an_answer_about_credentials_that_is_no_text_is_refused():
    answers = type("Answers", (MemoryHandler,), {"auth_fault": staticmethod(lambda auth: bool(auth) or "")})
    registry = Registry({("resource", "fussy"): answers})
    with pytest.raises(PluginError, match=r"auth_fault\(\) answered bool, expected a text"):
        registry.auth_fault("fussy", {"password": "x"})


def test_a_manager_that_ends_the_process_when_it_is_asked_is_named_with_the_place():
    def faults(cls, section):
        raise SystemExit(4)

    manager = config_manager()
    manager.faults = classmethod(faults)
    line = faults.__code__.co_firstlineno + 1
    with pytest.raises(
        PluginError, match=rf"faults\(\) raised SystemExit \(tests/unit/test_registry.py, line {line}\)"
    ):
        Registry({("config", "fussy"): manager}).section_faults({"type": "fussy"})


@pytest.mark.parametrize(("answer", "words"), [(["bad"], "str"), (None, "NoneType"), ("bad", "str"), (5, "int")])
def test_faults_of_a_section_that_are_of_a_wrong_type_are_refused(answer, words):
    manager = config_manager()
    manager.faults = classmethod(lambda cls, section: answer)
    said = rf"faults\(\) answered {words}, expected a sequence of SectionFault \(tests/unit/test_"
    with pytest.raises(PluginError, match=said):
        Registry({("config", "fussy"): manager}).section_faults({"type": "fussy"})


def test_faults_of_a_section_name_its_keys_and_no_secrets():
    section = {"type": "fussy", "roles": "x", "password": "open-sesame"}
    manager, answer = config_manager(), [SectionFault("roles", "no role for open-sesame", 1, 2)]
    manager.faults = classmethod(lambda cls, section: answer)
    registry = Registry({("config", "fussy"): manager})
    assert registry.section_faults(section) == [SectionFault("roles", "no role for ***", 1, 2)]
    answer.append(SectionFault("nosuch", "is wrong"))
    with pytest.raises(PluginError, match=r"faults\(\) answered a fault of 'nosuch', which is not in the section"):
        registry.section_faults(section)


def test_a_fault_with_a_message_that_is_no_text_names_the_manager_and_the_place():
    manager = config_manager()
    manager.faults = classmethod(lambda cls, section: [SectionFault("type", None)])
    said = r"'fussy' breaks its contract: faults\(\) raised FieldTypeError: SectionFault.message is of the type"
    with pytest.raises(PluginError, match=said):
        Registry({("config", "fussy"): manager}).section_faults({"type": "fussy"})


def test_the_error_of_a_contextualiser_shows_no_secret_of_its_section():
    def refuse():
        raise PermanentError("no host for open-sesame")

    registry = Registry({("context", "fussy"): contextualiser(refuse)})
    with pytest.raises(PermanentError, match=r"no host for \*\*\*"):
        registry.contextualised({"type": "fussy", "password": "open-sesame"}, None)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit, BaseException, SystemExit])
def test_a_contextualiser_that_raises_no_exception_is_named(kind):
    def end():
        raise kind

    said = rf"^the contextualisation 'fussy' breaks its contract: contextualise\(\) raised {kind.__name__} \("
    with pytest.raises(PermanentError, match=said):
        Registry({("context", "fussy"): contextualiser(end)}).contextualised({"type": "fussy"}, None)


@pytest.mark.parametrize("level", ["DEBUG", "INFO"])
def test_the_traceback_of_a_failed_import_is_logged_and_its_message_is_one_line(install, caplog, level):
    install("raises", "odd", "odd_pulse:Checker", "def deep():\n    raise ValueError('two\\nlines')\ndeep()\n")
    with caplog.at_level(level, UNEXPECTED):
        said = refusal("odd")
    assert said.endswith("cannot be imported: ValueError (odd_pulse.py, line 2); report it to its author")
    logged = [each.getMessage() for each in caplog.records]
    assert [", line 3, in <module>" in each and "ValueError: two" in each for each in logged] == [True] * (
        level == "DEBUG"
    )
