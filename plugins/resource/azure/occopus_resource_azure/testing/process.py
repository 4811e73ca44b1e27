"""Simulates the processes in a container group: they run, exit, crash repeatedly, or lack their image."""

from __future__ import annotations

import fnmatch
from dataclasses import dataclass, field

from occopus_resource_azure.testing.account import Account, Behaviour, Resource
from occopus_resource_azure.testing.wire import Json


@dataclass
class View:
    """The instance view of a group, by part."""

    state: str
    container: Json
    group_events: list[Json] = field(default_factory=list)


@dataclass
class Process:
    """The process of every container of a group."""

    account: Account
    behaviour: Behaviour
    policy: str
    image: str
    state: str = "Pending"
    """Of the group."""
    started: float = 0.0
    starts: int = 0
    reported: list[Json] = field(default_factory=list)
    printed: list[str] = field(default_factory=list)
    """Lines that a test has added to the output, each with its line end."""

    @classmethod
    def of(cls, account: Account, group: Resource) -> Process:
        """The process of a group, from the first pattern in `Account.behaviours` that matches its name."""
        found = [value for pattern, value in account.behaviours.items() if fnmatch.fnmatchcase(group.name, pattern)]
        properties = group.properties
        image = properties["containers"][0]["properties"]["image"]
        behaviour = found[0] if found else "run"
        return cls(account, behaviour, properties["restartPolicy"], image)

    def start(self, at: float) -> None:
        """Pull the image and start the process."""
        self.started, self.starts = at, self.starts + 1
        self._report("Pulling", f'pulling image "{self.image}"')
        if self.behaviour == "no_image":
            self.state = "Pending"
            self._report("Failed", f'Failed to pull image "{self.image}": not found', warning=True)
            return
        self._report("Pulled", f'Successfully pulled image "{self.image}"')
        self._report("Started", "Started container")
        ends = self.behaviour in ("complete", "crash")
        if not ends or self._restarts:
            self.state = "Running"
        else:
            self.state = "Succeeded" if self.behaviour == "complete" else "Failed"
        if ends and self._restarts:
            self._report("BackOff", "Back-off restarting failed container", warning=True)

    @property
    def _restarts(self) -> bool:
        return self.policy == "Always" or (self.policy == "OnFailure" and self.behaviour == "crash")

    def stop(self) -> None:
        """Stop the process."""
        self.state = "Stopped"
        self._report("Killing", "Killing container")

    def fail(self) -> None:
        """Record that the group cannot be placed."""
        self.state = "Failed"

    def _report(self, name: str, message: str, *, warning: bool = False) -> None:
        at = self.account.written(self.account.now()).replace("+00:00", "Z")
        for each in self.reported:
            if each["name"] == name:
                each.update(count=each["count"] + 1, lastTimestamp=at)
                return
        event = {"count": 1, "firstTimestamp": at, "lastTimestamp": at, "name": name, "message": message}
        self.reported.append({**event, "type": "Warning" if warning else "Normal"})

    def events(self) -> list[Json]:
        """The events of the containers so far."""
        return [dict(each) for each in self.reported]

    def view(self) -> View:
        """The current instance view."""
        at = self.account.written(self.started).replace("+00:00", "Z")
        code = 0 if self.behaviour == "complete" else 1
        current: Json
        if self.state == "Pending":
            current = {"state": "Waiting", "detailStatus": "ImagePullBackOff" if self.starts else ""}
        elif self.state == "Stopped":
            current = {
                "state": "Terminated",
                "startTime": at,
                "finishTime": at,
                "exitCode": 137,
                "detailStatus": "Error",
            }
        elif self.behaviour in ("complete", "crash"):
            word = "Completed" if code == 0 else "Error"
            ended = {"state": "Terminated", "startTime": at, "finishTime": at, "exitCode": code, "detailStatus": word}
            current = {"state": "Waiting", "detailStatus": "CrashLoopBackOff"} if self._restarts else ended
        else:
            current = {"state": "Running", "startTime": at, "detailStatus": ""}
        container: Json = {"restartCount": self._restart_count(), "currentState": current, "events": self.events()}
        if current.get("detailStatus") == "CrashLoopBackOff":
            word = "Completed" if code == 0 else "Error"
            container["previousState"] = {"state": "Terminated", "exitCode": code, "detailStatus": word}
            container["previousState"] |= {"startTime": at, "finishTime": at}
        return View(self.state, container)

    def _restart_count(self) -> int:
        if self.behaviour in ("complete", "crash") and self._restarts:
            return 1 + int((self.account.now() - self.started) / 10)
        return 0

    def output(self) -> list[str]:
        """The lines of output."""
        if not self.starts or self.behaviour == "no_image":
            return []
        lines = [f"started {self.image}\n"]
        lines += self.printed
        return lines if self.behaviour == "run" else [*lines, f"ends with {0 if self.behaviour == 'complete' else 1}\n"]
