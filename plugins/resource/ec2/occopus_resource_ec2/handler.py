"""The resource handler of Amazon EC2 and clouds with its API."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from occopus_core.api import (
    AuthError,
    Connection,
    ContextForm,
    CreateRequest,
    Feature,
    Instance,
    InstanceId,
    InstanceState,
    NotFoundError,
    Owner,
    PermanentError,
    ProviderError,
    QuotaError,
    ResourceHandler,
    TransientError,
    last_lines,
    load_schema,
)
from occopus_resource_ec2 import view
from occopus_resource_ec2.auth import auth_fault
from occopus_resource_ec2.order import order, root_volume
from occopus_resource_ec2.tags import TokenUsedError, filters, own_tags, token_filter

_PAGE = 1000
"""The most instances in one answer of DescribeInstances, and in one call of TerminateInstances."""
_VALUES = 200
"""The most values of one filter."""
_NOT_SUPPORTED = "UnsupportedOperation"
_FRUITLESS = 100
"""The number of pages without new instances after which a list is given up: EC2 may leave some pages empty."""


class Ec2Handler(ResourceHandler):
    """One account in one region."""

    contract_version: ClassVar[int] = 1
    connection_keys: ClassVar[tuple[str, ...]] = ("endpoint", "regionname")
    harmless_keys: ClassVar[tuple[str, ...]] = ("regionname",)
    context_forms: ClassVar[frozenset[ContextForm]] = frozenset({ContextForm.USER_DATA})
    features: ClassVar[frozenset[Feature]] = frozenset({Feature.LOGS, Feature.MARK})
    max_concurrency: ClassVar[int] = 16
    poll_seconds: ClassVar[tuple[float, float]] = (0.5, 5.0)
    consistency_window: ClassVar[float] = 10.0

    def __init__(self, connection: Connection) -> None:
        # Imported late: reading the schema must not import boto3.
        from occopus_resource_ec2.client import Client  # noqa: PLC0415

        super().__init__(connection)
        self._client = Client(connection, self.max_concurrency)
        self._root_devices: dict[str, str] = {}
        self._let_go: set[InstanceId] = set()  # terminated before `delete`, which later processes call again

    @classmethod
    @functools.cache
    def schema(cls) -> Mapping[str, Any]:
        """The `resource` section of type `ec2`."""
        return load_schema("occopus_resource_ec2")

    @classmethod
    def powers(cls, resource: Mapping[str, Any]) -> Sequence[str]:
        """A role of the account."""
        if "iam_instance_profile" not in resource:
            return ()
        return ("iam_instance_profile: users of the instance have the permissions of its role in the account",)

    @classmethod
    def auth_fault(cls, auth: Mapping[str, str]) -> str:
        """A missing key."""
        return auth_fault(auth)

    def check(self, request: CreateRequest) -> None:
        """Raises `PermanentError` for too much user data, reserved or too many tags, and invalid numbers."""
        order(request)
        root_volume(request.resource)

    def create(self, request: CreateRequest) -> Instance:
        """One RunInstances, which finds the instance of an earlier call with the token. Raises `ProviderError`.

        EC2 itself ensures that a ClientToken makes only one instance: "Ensuring idempotency in Amazon EC2 API requests"
        in the Amazon EC2 Developer Guide. The guarantee holds for one request of one instance, so creations are not
        grouped.
        """
        parameters = order(request)
        self._client.greet()
        volume = root_volume(request.resource)
        if volume:
            device = self._root_device(request.resource["image_id"])
            parameters["BlockDeviceMappings"] = [{"DeviceName": device, "Ebs": volume}]
        made = self._run(request.token, parameters)
        if made.state is InstanceState.PROVISIONING:
            raise QuotaError(f"{self._client.where}: {made.reason}")
        return made

    def _run(self, token: str, parameters: Mapping[str, Any]) -> Instance:
        try:
            return self._client.call(
                "run_instances", lambda answer: view.instance(answer["Instances"][0]), **parameters
            )
        except TokenUsedError:  # rendered values have changed since an earlier call, perhaps of another process
            made = min(self._instances([token_filter(token)]), key=_is_gone, default=None)
            if made is None:
                raise
            return made

    def describe(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, Instance]:
        """One call for every 200 ids. Raises `ProviderError`.

        The ids are values of a filter: as direct parameters, one unknown id would make EC2 refuse the whole call.
        """
        found = {id: Instance(id, InstanceState.ABSENT) for id in ids}
        for values in _pages(list(found), _VALUES):
            wanted = [{"Name": "instance-id", "Values": values}]
            found.update((instance.id, instance) for instance in self._instances(wanted))
        for id in self._let_go & found.keys():
            found[id] = replace(found[id], state=InstanceState.ABSENT)
        return found

    def list_owned(self, owner: Owner) -> Iterator[Instance]:
        """One call for every 1,000 instances. Raises `ProviderError` when iterated.

        A filter cannot exclude terminated instances: it lists the states to include, of those that are known.
        """
        for instance in self._instances(filters(owner)):
            if not _is_gone(instance) and instance.owner is not None and owner.matches(instance.owner):
                yield instance

    def delete(self, ids: Sequence[InstanceId]) -> Mapping[InstanceId, ProviderError | None]:
        """One call for every 1,000 ids, more if EC2 refuses some; idempotent. Raises `ProviderError`.

        The volumes made with an instance are deleted with it, except those that its image declares as kept.
        """
        results: dict[InstanceId, ProviderError | None] = {}
        for page in _pages(list(dict.fromkeys(ids)), _PAGE):
            results.update(self._terminate(page))
        errors = list(results.values())
        if errors and isinstance(errors[0], TransientError | AuthError) and None not in errors:
            raise errors[0]
        return results

    def mark(self, id: InstanceId, owner: Owner, token: str) -> None:
        """One CreateTags. Raises `ProviderError`."""
        tags = [{"Key": key, "Value": value} for key, value in own_tags(owner, token).items()]
        self._client.call("create_tags", lambda _answer: None, Resources=[id], Tags=tags)

    def logs(self, ids: Sequence[InstanceId], lines: int) -> Mapping[InstanceId, str | None]:
        """The end of each console output, at most 64 KB: one call each. Raises `ProviderError`."""
        return {id: self._console(id, lines) for id in ids}

    def _console(self, id: InstanceId, lines: int) -> str | None:
        """The newest output if the instance type supports that, else what EC2 stored at the last state change."""

        def output(**more: bool) -> str | None:
            return self._client.call("get_console_output", lambda answer: answer.get("Output"), InstanceId=id, **more)

        try:
            try:
                text = output(Latest=True)
            except PermanentError as error:
                if _NOT_SUPPORTED not in error.message:
                    raise
                text = output()
        except NotFoundError:
            return None
        return None if text is None else last_lines(text, lines)

    def _terminate(self, ids: list[InstanceId]) -> dict[InstanceId, ProviderError | None]:
        """Terminate instances.

        EC2 refuses the whole call because of one id: retry with those that exist, then by halves.
        """
        try:
            self._let_go.update(self._client.call("terminate_instances", _ended_before, InstanceIds=ids))
        except (TransientError, AuthError) as error:
            return dict.fromkeys(ids, error)
        except ProviderError as error:
            missing = isinstance(error, NotFoundError)
            if len(ids) == 1:
                return {ids[0]: None if missing else error}
            parts = [self._existing(ids)] if missing else []
            if not parts or len(parts[0]) == len(ids):
                parts = [ids[: len(ids) // 2], ids[len(ids) // 2 :]]
            results: dict[InstanceId, ProviderError | None] = dict.fromkeys(ids)
            for part in filter(None, parts):
                results.update(self._terminate(part))
            return results
        return dict.fromkeys(ids)

    def _existing(self, ids: Sequence[InstanceId]) -> list[InstanceId]:
        return [id for id, instance in self.describe(ids).items() if instance.state is not InstanceState.ABSENT]

    def _instances(self, wanted: Sequence[Mapping[str, Any]]) -> Iterator[Instance]:
        """Each instance that passes the filters, once, page by page. Raises `ProviderError`."""
        seen: set[InstanceId] = set()
        token, fruitless = "", 0
        while True:
            page, token = self._page(wanted, token)
            new = [instance for instance in page if instance.id not in seen]
            yield from new
            seen.update(instance.id for instance in new)
            fruitless += not new
            if not token:
                return
            if fruitless >= _FRUITLESS:
                raise TransientError(f"{self._client.where}: the pages of its list have no end")

    def _page(self, wanted: Sequence[Mapping[str, Any]], token: str) -> tuple[list[Instance], str]:
        """One page, and the token of the next one. Raises `ProviderError`."""
        following = {"NextToken": token} if token else {}
        try:
            return self._client.call("describe_instances", _listed, Filters=wanted, MaxResults=_PAGE, **following)
        except (PermanentError, NotFoundError) as error:
            if not token:
                raise
            # The first page was answered, so the page token has expired: the list can be started again.
            raise TransientError(f"{error.message} (on a later page)", request_id=error.request_id) from error

    def _root_device(self, image_id: str) -> str:
        """The device name of the image's root volume, which never changes. Raises `ProviderError`."""
        if image_id not in self._root_devices:
            images = self._client.call("describe_images", lambda answer: answer["Images"], ImageIds=[image_id])
            devices = [image["RootDeviceName"] for image in images if image.get("RootDeviceName")]
            if not devices:
                raise NotFoundError(f"there is no image '{image_id}' with a root volume (resource.image_id)")
            self._root_devices[image_id] = devices[0]
        return self._root_devices[image_id]


def _listed(answer: Mapping[str, Any]) -> tuple[list[Instance], str]:
    """The instances in an answer, and the token of the next page."""
    instances = itertools.chain.from_iterable(each["Instances"] for each in answer["Reservations"])
    return list(map(view.instance, instances)), answer.get("NextToken", "")


def _ended_before(answer: Mapping[str, Any]) -> list[InstanceId]:
    """The instances that were already terminated before the call."""
    ended = answer["TerminatingInstances"]
    return [each["InstanceId"] for each in ended if each["PreviousState"]["Name"] == "terminated"]


def _is_gone(instance: Instance) -> bool:
    return instance.raw_state == view.GONE


def _pages(ids: list[InstanceId], size: int) -> Iterator[list[InstanceId]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))
