"""Calls to EC2 through boto3: each is made once, and ends in time."""

from __future__ import annotations

import functools
import logging
import re
import threading
from collections.abc import Mapping
from typing import Any

import boto3.session
import botocore.loaders
import botocore.session
from botocore.config import Config

from occopus_core.api import AuthError, Connection, within
from occopus_resource_ec2.errors import StrangerError, provider_error

_KEYS = ("accesskey", "secretkey")
_EC2_ANSWER = re.compile(rb"\s*(<\?xml[^>]*>\s*)?<\w*Response[\s>]")


class Client:
    """One account in one region. The botocore client is made for the first call. Thread-safe."""

    def __init__(self, connection: Connection, connections: int) -> None:
        self._endpoint = str(connection.settings.get("endpoint", ""))
        self.where = f"EC2 {self._endpoint}"
        """What it is called in errors."""
        self._region = str(connection.settings.get("regionname", ""))
        self._auth = connection.auth
        self._seconds = connection.call_timeout
        self._connections = connections
        self._lock = threading.Lock()
        self._made: Any = None

    def call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        """The answer to one call, which is made once. Raises `ProviderError`."""
        missing = [key for key in _KEYS if self._auth and not self._auth.get(key)]
        if missing:
            raise AuthError(f"{self.where}: auth_data has no {' and no '.join(missing)}")
        try:
            answer: Mapping[str, Any] = within(self._seconds, lambda: getattr(self._ec2(), operation)(**parameters))
        except Exception as error:  # what botocore may raise is listed nowhere
            raise provider_error(error, self.where, self._seconds) from error
        return answer

    def _ec2(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> Any:
        # What botocore logs for debugging holds user data, which is full of secrets.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        core = botocore.session.get_session()
        core.register_component("data_loader", _loader())
        session = boto3.session.Session(
            botocore_session=core,
            aws_access_key_id=self._auth.get("accesskey"),
            aws_secret_access_key=self._auth.get("secretkey"),
            region_name=self._region,
        )
        config = Config(
            connect_timeout=self._seconds,
            read_timeout=self._seconds,
            retries={"total_max_attempts": 1, "mode": "standard"},
            max_pool_connections=self._connections,
        )
        client = session.client("ec2", endpoint_url=self._endpoint, config=config)
        client.meta.events.register("before-parse.ec2", _refuse_strangers)
        return client


@functools.cache
def _loader() -> Any:
    """What botocore knows of EC2: large, slow to read, and the same for every account."""
    return botocore.loaders.create_loader()


def _refuse_strangers(response_dict: Mapping[str, Any], **_more: Any) -> None:
    """Raises `StrangerError` for what botocore would take for an answer without content."""
    body = response_dict.get("body") or b""
    if body.strip() and not _EC2_ANSWER.match(body):
        raise StrangerError(response_dict["status_code"])
