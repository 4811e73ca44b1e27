"""Set-up of a program: its command line, its configuration and its credentials."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable

from occopus_core.credentials import Credentials
from occopus_core.redaction import RedactingFilter
from occopus_core.settings import Settings

args: argparse.Namespace | None = None
"""The command line; None before `setup`."""
configuration: Settings | None = None
"""The configuration; None before `setup`."""
credentials: Credentials | None = None
"""The credentials; None before `setup`."""


def setup(
    setup_args: Callable[[argparse.ArgumentParser], object] | None = None,
    cfg_path: str | None = None,
    auth_data_path: str | None = None,
) -> argparse.Namespace:
    """Read the configuration and the credentials, and set up logging as the configuration says; the command line.

    `setup_args` may add options to the parser, which then refuses all others; without it, options that are not known
    are left alone. `--cfg` and `--auth_data_path` win over `cfg_path` and `auth_data_path`; without any of them the
    usual places are searched. Can be repeated: managers made from then on use what was read last. Raises
    `DescriptionError`, and `SystemExit` for a wrong command line.
    """
    global args, configuration, credentials  # programs of 1.x read these variables
    parser = argparse.ArgumentParser()
    parser.add_argument("--cfg", metavar="CFG_PATH", default=cfg_path, help="configuration file")
    parser.add_argument(
        "--auth_data_path", metavar="AUTH_DATA_PATH", default=auth_data_path, help="file with the credentials"
    )
    if setup_args is None:
        parsed, _ = parser.parse_known_args()
    else:
        setup_args(parser)
        parsed = parser.parse_args()
    settings, secrets = Settings.load(parsed.cfg), Credentials.load(parsed.auth_data_path)
    settings.apply_logging()
    log = logging.getLogger("occopus")
    for handler in {*log.handlers, *logging.getLogger().handlers}:
        handler.addFilter(RedactingFilter(secrets.secrets()))
    for warning in (*settings.warnings, *secrets.warnings):
        log.warning("%s", warning)
    args, configuration, credentials = parsed, settings, secrets
    return parsed
