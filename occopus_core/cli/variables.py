"""Variables of a description from the command line: ``--var NAME=VALUE`` and ``--var-file FILE``."""

from __future__ import annotations

import argparse

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from typing import Any


def add_variables(made: argparse.ArgumentParser) -> None:
    """The options for variables."""
    made.add_argument(
        "--var",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        type=_assignment,
        help="a variable of the infrastructure in the place of the one in INFRA_DEF; wins over --var-file; repeatable",
    )
    made.add_argument(
        "--var-file",
        metavar="FILE",
        action="append",
        default=[],
        help="YAML file with a mapping of such variables; a later one wins; repeatable",
    )


def _assignment(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise argparse.ArgumentTypeError("expected NAME=VALUE")  # without the value, which may be secret
    return name, value


def given_variables(options: argparse.Namespace) -> dict[str, Any]:
    """The variables of the options; a value of `--var` is read as a plain scalar of YAML. Raises `DescriptionError`."""
    from occopus_core.api import scalars  # noqa: PLC0415  # help must not wait for all this
    from occopus_core.api.written import WrittenMap  # noqa: PLC0415
    from occopus_core.descriptions.infrastructure import merged  # noqa: PLC0415
    from occopus_core.descriptions.loader import load  # noqa: PLC0415
    from occopus_core.descriptions.problems import DescriptionError  # noqa: PLC0415

    found: dict[str, Any] = {}
    for file in options.var_file:
        document = load(file)
        if not isinstance(document.data, dict):
            raise DescriptionError([document.problem((), "a mapping of variables is wanted here")])
        found = merged(found, document.data)
    own = WrittenMap()
    for name, text in options.var:
        own[name] = scalars.kept(text)
        if not isinstance(own[name], str):
            own.texts[name] = text
    return merged(found, own)
