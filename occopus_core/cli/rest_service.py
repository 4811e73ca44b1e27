"""``occopus-rest-service``: build, maintain, scale and destroy infrastructures over a REST API."""

from __future__ import annotations

import argparse
import gc
import os
import time
from collections.abc import Callable, Sequence

from occopus_core.cli.exits import ExitCode
from occopus_core.cli.options import (
    Formatter,
    add_auth_data_path,
    add_parallelize,
    add_verbose,
    interval,
    number,
    parser,
    whole_number,
)
from occopus_core.cli.output import result, say
from occopus_core.cli.session import guarded, load_files, load_settings, log_calls

TYPE_CHECKING = False  # typing takes as long to import as argparse
if TYPE_CHECKING:
    from occopus_core.credentials import Credentials
    from occopus_core.events import Event
    from occopus_core.manager import InfrastructureManager
    from occopus_core.rest.limits import Limits
    from occopus_core.rest.metrics import Metrics
    from occopus_core.settings import Settings
    from occopus_core.store.tokens import Tokens

INTERVAL = 10.0
TOKEN_VARIABLE = "OCCOPUS_REST_TOKEN"  # noqa: S105  # its name
SHORTEST_TOKEN = 16
"""The fewest characters."""
LAST_PORT = 65535


def main(argv: Sequence[str]) -> int:
    """Run the command. Returns its exit code."""
    made = _parser()
    options = made.parse_args(argv)
    if (options.certificate is None) != (options.key is None):
        made.error("--certificate and --key go together")
    act = {"create": _create_token, "list": _list_tokens, "revoke": _revoke_token}
    return guarded(lambda: act[options.action](options) if options.what == "token" else _serve(options))


def _parser() -> argparse.ArgumentParser:
    made = parser("rest-service", "Serve the REST API, and maintain the infrastructures built through it.")
    add_auth_data_path(made)
    add_parallelize(made)
    add_verbose(made)
    made.add_argument("--host", help="address to listen on (default: 127.0.0.1, or what the configuration says)")
    made.add_argument("--port", type=_port, help="port to listen on (default: 5000, or what the configuration says)")
    made.add_argument("--insecure", action="store_true", help="require no token, whatever the address is")
    made.add_argument("--certificate", metavar="FILE", help="serve over TLS with this certificate (PEM)")
    made.add_argument("--key", metavar="FILE", help="the key of the certificate (PEM)")
    made.add_argument("--origin", action="append", default=[], help="a page that may call from a browser; repeatable")
    made.add_argument(
        "--proxy",
        action="append",
        default=[],
        type=_network,
        metavar="ADDRESS",
        help="a reverse proxy (address or network) whose X-Forwarded-For is believed; repeatable (default: none)",
    )
    made.add_argument(
        "--endpoint",
        action="append",
        default=[],
        type=_endpoint,
        metavar="VALUE",
        help="an endpoint, or value of another connection key, that node definitions of clients may name, as those in "
        "the credentials file; repeatable",
    )
    made.add_argument("--interval", type=interval, default=INTERVAL, help="seconds between two passes (default: 10)")
    made.add_argument("--max-body", type=whole_number, metavar="BYTES", help="largest body (default: 1 MiB)")
    made.add_argument("--rate", type=number, help="requests of one client in a second (default: 200)")
    made.add_argument(
        "--max-instances",
        type=whole_number,
        metavar="N",
        help="instances of an infrastructure (default: 10,000)",
    )
    made.add_argument(
        "--max-builds", type=whole_number, metavar="N", help="infrastructures built at once (default: 200)"
    )
    tokens = "[token {create,list,revoke}]"
    what = made.add_subparsers(dest="what", metavar=tokens, help="create, list and revoke tokens")
    _add_token(what.add_parser("token", help="tokens of clients", formatter_class=Formatter))
    return made


def _port(text: str) -> int:
    port = whole_number(text)
    if not 0 <= port <= LAST_PORT:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 (any that is free) to {LAST_PORT}")
    return port


def _network(text: str) -> str:
    import ipaddress  # noqa: PLC0415  # help must not wait for all this

    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError as error:
        raise argparse.ArgumentTypeError("expected an IP address or a network such as 10.0.0.0/8") from error


def _endpoint(text: str) -> str:
    if any(mark in text for mark in ("{{", "{%", "{#")):
        raise argparse.ArgumentTypeError(f"'{text}' is a template: expected the value that it is to become")
    return text


def _add_token(made: argparse.ArgumentParser) -> None:
    actions = made.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", formatter_class=Formatter, help="create a token; it is printed only once")
    create.add_argument("--name", required=True, type=_printable, help="who it is for")
    create.add_argument("--scope", required=True, choices=("read", "scale", "write"))
    create.add_argument("--infra", metavar="ID", help="only for this infrastructure")
    actions.add_parser("list", formatter_class=Formatter, help="list the tokens")
    revoke = actions.add_parser("revoke", formatter_class=Formatter, help="revoke a token")
    revoke.add_argument("id", help="the id shown by `token list`")


def _printable(text: str) -> str:
    if not (text.isprintable() and text.strip()):  # `token list` prints it
        raise argparse.ArgumentTypeError("a name of printable characters is wanted, on one line")
    return text


# Tokens


def _opened(options: argparse.Namespace) -> InfrastructureManager:
    from occopus_core.credentials import Credentials  # noqa: PLC0415  # help must not wait for all this
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415

    return InfrastructureManager(load_settings(options.cfg), Credentials())


def _create_token(options: argparse.Namespace) -> int:
    from occopus_core.store.records import NoSuchInfrastructureError  # noqa: PLC0415
    from occopus_core.store.tokens import Scope  # noqa: PLC0415

    with _opened(options) as manager:
        if options.infra is not None:
            manager.new_id(options.infra)
            try:
                manager.get(options.infra)
            except NoSuchInfrastructureError as error:  # it may be created later
                say(f"warning: {error}")
        result(manager.store.tokens.create(options.name, Scope(options.scope), options.infra, time.time()))
    return ExitCode.OK


def _list_tokens(options: argparse.Namespace) -> int:
    from datetime import UTC, datetime  # noqa: PLC0415  # help is to be fast

    with _opened(options) as manager:
        for one in manager.store.tokens.all():
            made = datetime.fromtimestamp(one.created_at, UTC).isoformat(timespec="seconds")
            state = "valid" if one.revoked_at is None else "revoked"
            result("\t".join([one.id, state, one.scope.value, one.infra_id or "-", made, one.name]))
    return ExitCode.OK


def _revoke_token(options: argparse.Namespace) -> int:
    with _opened(options) as manager:
        if not manager.store.tokens.revoke(options.id, time.time()):
            say(f"error: no token has the id '{options.id}'")
            return ExitCode.NOT_FOUND
    return ExitCode.OK


# The service


def _serve(options: argparse.Namespace) -> int:
    try:
        from occopus_core.rest import app, server  # noqa: F401, PLC0415  # help must not wait for all this
        from occopus_core.rest.metrics import Metrics  # noqa: PLC0415
    except ModuleNotFoundError as error:
        say(f"error: {error.name} is not installed: it comes with the extra [rest] of occopus-core")
        return ExitCode.UNAVAILABLE
    from occopus_core.cli.lines import line  # noqa: PLC0415
    from occopus_core.manager import InfrastructureManager  # noqa: PLC0415
    from occopus_core.manager.dry_run import refuse_dry_run  # noqa: PLC0415

    settings, credentials = load_files(options)
    metrics = Metrics()
    log = _logger(settings, credentials)

    def observe(event: Event) -> None:
        metrics.happened(event)
        log(f"{event.infra_id}: {line(event)}")

    refuse_dry_run(settings)
    log_calls(verbose=options.verbose)
    with InfrastructureManager(
        settings,
        credentials,
        process_strategy="parallel" if options.parallelize else "sequential",
        observer=observe,
        on_error=lambda infra_id, text: log(
            f"error: {infra_id}: {text}" if text else f"{infra_id}: can be maintained again"
        ),
        warn=lambda text: log(f"warning: {text}"),
        meter=metrics,
    ) as manager:
        gc.freeze()  # imported modules are never garbage
        gc.enable()
        return _run(options, settings, manager, metrics)


def _run(options: argparse.Namespace, settings: Settings, manager: InfrastructureManager, metrics: Metrics) -> int:
    from occopus_core.rest.access import LOOPBACK  # noqa: PLC0415
    from occopus_core.rest.app import create_app  # noqa: PLC0415
    from occopus_core.rest.auth import Gatekeeper  # noqa: PLC0415
    from occopus_core.rest.limits import Buckets  # noqa: PLC0415
    from occopus_core.rest.server import ListenError, Server, configure, listen  # noqa: PLC0415
    from occopus_core.rest.service import Service  # noqa: PLC0415

    host = options.host if options.host is not None else settings.rest_host
    port = options.port if options.port is not None else settings.rest_port
    local, tokens, limits = _is_loopback(host), manager.store.tokens, _limits(options)
    insecure, token = options.insecure or settings.rest_insecure, os.environ.get(TOKEN_VARIABLE, "").strip()
    fault = _token_fault(token) or ("" if local or insecure or token else _open_to_all(host, tokens))
    if fault:
        say(f"error: {fault}")
        return ExitCode.BAD_INPUT
    if insecure and not local:
        say(f"warning: any client that reaches {host} may build and destroy: the service requires no token")
    metrics.show(manager.store)
    service = Service(manager, options.interval, say)
    keeper = Gatekeeper(tokens, Buckets(limits.rate), required=not local, insecure=insecure, token=token)
    hosts = LOOPBACK if local else ()
    app = create_app(service, keeper, limits, metrics, origins=options.origin, hosts=hosts, endpoints=options.endpoint)
    try:
        config = configure(app, host, port, options.certificate, options.key, options.proxy)
    except OSError as error:
        say(f"error: the certificate {options.certificate} cannot be used: {error.strerror or error}")
        return ExitCode.BAD_INPUT
    try:
        sockets = listen(host, port)
    except ListenError as error:
        say(f"error: {error}")
        return ExitCode.BAD_INPUT
    served = Server(config, service, say).serve_until_signal(sockets)
    return ExitCode.OK if served else ExitCode.UNAVAILABLE


def _token_fault(token: str) -> str:
    """Why the token in the environment is not usable; empty if it is usable or missing."""
    if not token or (len(token) >= SHORTEST_TOKEN and token.isascii() and token.isprintable() and " " not in token):
        return ""
    return f"{TOKEN_VARIABLE} must have at least {SHORTEST_TOKEN} printable characters and no space"


def _open_to_all(host: str, tokens: Tokens) -> str:
    """Why the service does not start on an address that others can reach; empty if there is a token."""
    if any(one.revoked_at is None for one in tokens.all()):
        return ""
    return (
        f"{host} can be reached by others: make a token first (occopus-rest-service token create), or set "
        f"{TOKEN_VARIABLE}. Without a token: --insecure, components.rest.insecure: true or OCCOPUS_REST_INSECURE=1"
    )


def _logger(settings: Settings, credentials: Credentials) -> Callable[[str], None]:
    """Log to the configured loggers; without a configuration, print lines to standard error."""
    import logging  # noqa: PLC0415
    from datetime import UTC, datetime  # noqa: PLC0415

    from occopus_core.redaction import RedactingFilter  # noqa: PLC0415

    if settings.logging is not None:
        for configured in {*logging.getLogger("occopus").handlers, *logging.getLogger().handlers}:
            configured.addFilter(RedactingFilter(credentials.secrets()))
        return logging.getLogger("occopus").info
    handler = logging.StreamHandler()
    handler.addFilter(RedactingFilter(credentials.secrets()))
    handler.setFormatter(logging.Formatter("%(message)s"))
    for name in ("occopus", "uvicorn.error"):
        logging.getLogger(name).addHandler(handler)
    logging.getLogger("occopus").setLevel(logging.INFO)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
    # Through the same handler as the access log, so that lines of many threads stay lines.
    return lambda text: logging.getLogger("occopus").info("%s %s", f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}", text)


def _limits(options: argparse.Namespace) -> Limits:
    from occopus_core.rest.limits import Limits  # noqa: PLC0415

    chosen = {"body": options.max_body, "rate": options.rate, "builds": options.max_builds}
    chosen["instances"] = options.max_instances
    return Limits(**{key: value for key, value in chosen.items() if value is not None})


def _is_loopback(host: str) -> bool:
    import ipaddress  # noqa: PLC0415  # help is to be fast

    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
