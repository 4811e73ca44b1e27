"""Calls to EC2 through boto3: each is made once and has a time limit."""

from __future__ import annotations

import functools
import logging
import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import boto3.session
import botocore.loaders
import botocore.session
from botocore.config import Config

from occopus_core.api import AuthError, Connection, ProviderError, TransientError, within
from occopus_resource_ec2.auth import auth_fault
from occopus_resource_ec2.errors import StrangerError, is_of_ec2, provider_error

T = TypeVar("T")

_ROOT = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?<(\w*Response)[\s/>]")
_LEAST_PAGE = 5
"""The smallest MaxResults that DescribeInstances accepts."""
_REFUSED = 300
"""The lowest HTTP status of an error."""
_UNREADABLE = (LookupError, TypeError, AttributeError)
"""Exceptions from reading a field that an answer lacks."""


class Client:
    """One account in one region. The first call creates the botocore client. Thread-safe."""

    def __init__(self, connection: Connection, connections: int) -> None:
        self._endpoint = str(connection.settings.get("endpoint", ""))
        self.where = f"EC2 {self._endpoint}"
        """The name of the endpoint in errors."""
        self._region = str(connection.settings.get("regionname", ""))
        self._auth = connection.auth
        self._seconds = connection.call_timeout
        self._connections = connections
        self._lock = threading.Lock()
        self._made: Any = None
        self._greeting = threading.Lock()
        self._met = False  # whether it has ever answered as EC2 does

    def greet(self) -> None:
        """Verify that this is an EC2 API before the first creation. Raises `ProviderError`.

        A web page in answer to RunInstances may come from a gateway that forwarded the call. So an endpoint that has
        never answered as EC2 does gets no RunInstances: the instance would have to be searched for.
        """
        if not self._greeting.acquire(timeout=self._seconds):
            raise TransientError(f"{self.where}: no answer within {self._seconds:g} s")
        try:
            if not self._met:
                self.call("describe_instances", lambda _answer: None, MaxResults=_LEAST_PAGE)
        finally:
            self._greeting.release()

    def call(self, operation: str, read: Callable[[Mapping[str, Any]], T], **parameters: Any) -> T:
        """Make one call and return what `read` extracts from the answer. Raises `ProviderError`."""
        missing = auth_fault(self._auth)
        if missing:
            raise AuthError(f"{self.where}: {missing}")
        try:
            answer: Mapping[str, Any] = within(self._seconds, lambda: getattr(self._ec2(), operation)(**parameters))
        except Exception as error:  # botocore does not document all exceptions that it raises
            raise self._mapped(error) from error
        self._met = True
        try:
            return read(answer)
        except _UNREADABLE as error:
            raise TransientError(f"{self.where}: something is missing in its answer") from error

    def _mapped(self, error: Exception) -> ProviderError:
        self._met = self._met or is_of_ec2(error)
        mapped = provider_error(error, self.where, self._seconds, met=self._met)
        if isinstance(mapped, AuthError):
            with self._lock:
                self._made = None  # boto3 reads its files once; they may have new keys at the next call
        return mapped

    def _ec2(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> Any:
        # botocore's debug log contains user data, and with it secrets.
        logging.getLogger("botocore").setLevel(logging.WARNING)
        core = botocore.session.get_session()
        core.register_component("data_loader", _loader())
        session = boto3.session.Session(
            botocore_session=core,
            aws_access_key_id=self._auth.get("accesskey"),
            aws_secret_access_key=self._auth.get("secretkey"),
            aws_session_token=self._auth.get("sessiontoken"),
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
    """Botocore's description of the EC2 API: large, slow to read, and the same for every account."""
    return botocore.loaders.create_loader()


def _refuse_strangers(operation_model: Any, response_dict: Mapping[str, Any], **_more: Any) -> None:
    """Raises `StrangerError` for an answer that botocore would take for an empty one."""
    body, status = response_dict.get("body") or b"", response_dict["status_code"]
    root = _ROOT.match(body)
    named = root[1].decode() if root else ""
    refusal = status >= _REFUSED and (named or not body.strip())
    if not refusal and named != f"{operation_model.name}Response":
        raise StrangerError(status)
