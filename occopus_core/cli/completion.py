"""Completion for shells: the script for one of them, and the words that it asks for.

The script calls ``occopus-maintain --complete KIND`` for the ids and names in the store.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from occopus_core.store.listing import NamedInstance

KINDS = ("infrastructures", "nodes", "instances", "places")
"""Ids and names of infrastructures; names of nodes; short ids of instances; both of these."""
_FILES = ("cfg", "auth_data_path", "infra_def", "datafile", "nodes", "var_file", "identity")
"""Options and arguments that are files."""
_KINDS: Mapping[str, Mapping[str, str]] = {
    "occopus-maintain": {"filter": "nodes"},
    "occopus-scale": {"node": "nodes", "filter": "instances"},
    "occopus-logs": {"node": "places"},
    "occopus-ssh": {"node": "places"},
}
"""By command and option or argument: the words for completion, except infrastructures."""
_PLAIN = re.compile(r"[A-Za-z0-9._-]+")
"""Words without a meaning for shells: a damaged store may contain any text."""
_TCSH_ARGUMENT = re.compile(r"'p/1/(f|`[^`]*`)/' \\\n *'p/\*/\(\)/'")
"""A command's only argument: `shtab` completes it only as the first word, but it may follow options."""

_BASH = """
_occopus_words() {{
  local at given=()
  for ((at = 1; at + 1 < COMP_CWORD; at++)); do
    case "${{COMP_WORDS[at]}}" in
      -i|--infra_id|--infraid) given+=(-i "${{COMP_WORDS[at + 1]}}") ;;
      --cfg) given+=(--cfg "${{COMP_WORDS[at + 1]}}") ;;
    esac
  done
  compgen -W "$(occopus-maintain --complete "$1" "${{given[@]}}" 2>/dev/null)" -- "$2"
}}
{functions}
"""
_ZSH = """
_occopus_words() {{
  local at
  local -a given found
  for ((at = 2; at + 1 < CURRENT; at++)); do
    case "$words[at]" in
      -i|--infra_id|--infraid) given+=(-i "$words[at+1]") ;;
      --cfg) given+=(--cfg "$words[at+1]") ;;
    esac
  done
  found=(${{(f)"$(occopus-maintain --complete $1 $given 2>/dev/null)"}})
  compadd -a found
}}
{functions}
"""


def script(made: argparse.ArgumentParser, shell: str) -> str:
    """The completion of a command for a shell."""
    import shtab  # noqa: PLC0415  # only for this

    kinds = {"infra_id": "infrastructures", **_KINDS.get(made.prog, {})}
    for action in made._actions:  # noqa: SLF001  # argparse has no other way to list them
        if action.dest in _FILES and action.nargs != 0:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.dest in kinds:
            action.complete = _completer(kinds[action.dest])  # type: ignore[attr-defined]
    text = str(shtab.complete(made, shell))
    return _TCSH_ARGUMENT.sub(r"'p/*/\1/'", text) if shell == "tcsh" else text


def _completer(kind: str) -> dict[str, object]:
    """The text of `shtab` for an option with these words."""
    bash = "\n".join(f'_occopus_{each}() {{ _occopus_words {each} "$1"; }}' for each in KINDS)
    zsh = "\n".join(f"_occopus_{each}() {{ _occopus_words {each}; }}" for each in KINDS)
    return {
        "bash": f"_occopus_{kind}",
        "zsh": f"_occopus_{kind}",
        "tcsh": f"`occopus-maintain --complete {kind}`",
        "preamble": {"bash": _BASH.format(functions=bash), "zsh": _ZSH.format(functions=zsh)},
    }


def words(kind: str, url: str, infra_id: str | None = None) -> list[str]:
    """The words that complete an option, only those of the named infrastructure, if any. Raises `StoreError`."""
    from occopus_core.store.listing import named_instances  # noqa: PLC0415

    found = named_instances(url)
    if kind == "infrastructures":
        return _printable(_infrastructures(found))
    mine = found if infra_id is None else [one for one in found if infra_id in (one.infra_id, one.infra_name)]
    if infra_id is not None and not mine:
        mine = [one for one in found if one.infra_id.startswith(infra_id)]
    nodes = [one.node_name for one in mine if one.node_name is not None] if kind != "instances" else []
    return _printable([*nodes, *(_short_ids(mine) if kind != "nodes" else [])])


def _infrastructures(found: Sequence[NamedInstance]) -> Iterator[str]:
    """All ids, and the names that only one infrastructure has."""
    names: dict[str, set[str]] = {}
    for one in found:
        names.setdefault(one.infra_name, set()).add(one.infra_id)
        yield one.infra_id
    yield from (name for name, ids in names.items() if len(ids) == 1)


def _short_ids(found: Sequence[NamedInstance]) -> Iterator[str]:
    from occopus_core.report.tables import shortened  # noqa: PLC0415

    ids = [one.node_id for one in found if one.node_id is not None]
    short = shortened(ids)
    return (short.get(one, one) for one in ids)


def _printable(found: Sequence[str] | Iterator[str]) -> list[str]:
    return [word for word in dict.fromkeys(found) if _PLAIN.fullmatch(word)]
