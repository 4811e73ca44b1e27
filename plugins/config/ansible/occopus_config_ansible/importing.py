"""Checks of a section when its file is imported, while its values may still be templates of Occopus."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from occopus_config_ansible import syntax
from occopus_config_ansible.checking import Fault, fault_of
from occopus_config_ansible.values import named_secrets
from occopus_core.api import SectionFault

SECONDS = 30.0
"""The time limit of Ansible's syntax check."""

_TEMPLATE = re.compile(r"\{[{%#]")
_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}(.*?)\{%[-+]?\s*endraw\s*[-+]?%\}", re.DOTALL)


def faults(section: Mapping[str, Any]) -> Sequence[SectionFault]:
    """The first error in the playbook, if it is a text without templates, or an existing file."""
    value = str(section.get("playbook", ""))
    path = "" if "\n" in value else str(Path(value).expanduser())
    text = _file(path) if path else _without_templates(value)
    if text is None:
        return ()
    fault, file = fault_of(text), path
    if fault is None:
        fault, file = _refused(section, path, text)
    if not fault.message:
        return ()
    # The message includes the place if it is in another file than the text.
    placed = (fault.message, fault.line, fault.column) if not file else (fault.at(file), 0, 0)
    return (SectionFault("playbook", *placed),)


def _file(path: str) -> str | None:
    """The text of a playbook; None if it cannot be read, which the plan reports."""
    if _TEMPLATE.search(path) or not Path(path).is_absolute():
        return None
    try:
        return Path(path).read_text() if Path(path).is_file() else None
    except (OSError, UnicodeDecodeError):
        return None


def _without_templates(text: str) -> str | None:
    """The text as rendered, line by line; None if its content depends on templates."""
    if _TEMPLATE.search(_RAW.sub("", text)):
        return None
    return _RAW.sub(lambda match: match[1], text)


def _refused(section: Mapping[str, Any], path: str, text: str) -> syntax.Refusal:
    """The error that Ansible reports, unless it may depend on templates."""
    given = section.get("roles_path", ())
    roles = [str(Path(each).expanduser()) for each in ([given] if isinstance(given, str) else given)]
    variables = dict(section.get("extra_vars", {}))
    unknown = [name for name, value in variables.items() if _TEMPLATE.search(str(value))]
    if not all(Path(each).is_dir() for each in roles):
        return syntax.ACCEPTED
    job = {
        "playbook": path,
        "text": "" if path else text,
        "roles_path": roles,
        "requirements": section.get("requirements") or {},
        "extra_vars": {name: value for name, value in variables.items() if name not in unknown},
    }
    try:
        found = syntax.fault_of(job, named_secrets(variables), SECONDS)
    except OSError:
        return syntax.ACCEPTED
    return syntax.ACCEPTED if _depends(found[0], unknown) else found


def _depends(fault: Fault, unknown: Sequence[str]) -> bool:
    """Whether the error may depend on variables whose values are not known yet."""
    return bool(unknown) and ("undefined" in fault.message or any(name in fault.message for name in unknown))
