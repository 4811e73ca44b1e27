"""What the cloud does while processes are tortured: rules of faults, drawn with a seed."""

from __future__ import annotations

import random
from collections.abc import Callable

from .pace import HIDDEN

Rules = list[dict]
CHANGING = ("create", "delete")
ALL = (*CHANGING, "describe", "list")


def _calm(_rng: random.Random) -> Rules:
    return []


def _lost(rng: random.Random) -> Rules:
    """Calls take effect, and nobody learns of it."""
    return [
        {"kind": "lost_reply", "operation": operation, "nth": rng.randint(1, 4)}
        for operation in (*CHANGING, *CHANGING, rng.choice(ALL), "ensure")
    ]


def _errors(rng: random.Random) -> Rules:
    return [{"kind": "error_500", "operation": each, "nth": rng.randint(1, 4)} for each in (*ALL, *ALL, "ensure")]


def _throttled(rng: random.Random) -> Rules:
    rules = [{"kind": "throttle", "operation": each, "nth": rng.randint(1, 4), "seconds": 2.0} for each in ALL]
    return [*rules, {"kind": "throttle", "probability": 0.2, "count": 3, "seconds": 1.0}]


def _hanging(rng: random.Random) -> Rules:
    return [{"kind": "hang", "operation": rng.choice(ALL), "nth": rng.randint(1, 3)} for _ in range(2)]


def _hidden(rng: random.Random) -> Rules:
    """Eventual consistency: nothing that is made is seen at once."""
    hidden = {"kind": "invisible_seconds", "seconds": HIDDEN * rng.choice((1, 2))}
    return [hidden, {"kind": "no_trace", "probability": 0.5}]


def _late(rng: random.Random) -> Rules:
    """Calls take effect a while after they were sent."""
    return [
        {"kind": "latency", "operation": each, "nth": rng.randint(1, 3), "seconds": HIDDEN * rng.random()}
        for each in (*CHANGING, *CHANGING)
    ]


def _forgetful(rng: random.Random) -> Rules:
    """What a create makes is made again by the next one with its token."""
    lost = [{"kind": "lost_reply", "operation": "create", "nth": nth} for nth in rng.sample(range(1, 6), 2)]
    return [{"kind": "forget_tokens", "probability": 0.7}, *lost]


def _full(rng: random.Random) -> Rules:
    """There is no room, perhaps for the second half of an instance."""
    return [{"kind": "quota", "operation": "create", "node_name": rng.choice(["any", "db", "web"]), "nth": nth}
            for nth in rng.sample(range(1, 5), 2)]  # fmt: skip


def _deaf(_rng: random.Random) -> Rules:
    """All is well with the cloud; a configuration manager refuses to forget."""
    return []


def _storm(rng: random.Random) -> Rules:
    """Several of these at once."""
    chosen = rng.sample([_lost, _errors, _throttled, _hidden, _late, _full], 3)
    return [rule for each in chosen for rule in each(rng)]


def _fog(rng: random.Random) -> Rules:
    """Nobody learns of what was made, and nobody sees it either."""
    lost = [{"kind": "lost_reply", "operation": "create", "nth": nth} for nth in {1, rng.randint(2, 4)}]
    return [*lost, *_hidden(rng)]


def _half(_rng: random.Random) -> Rules:
    """There is no room for the second half of an instance."""
    return [{"kind": "quota", "operation": "create", "node_name": "db", "nth": 2}]


def _stubborn(rng: random.Random) -> Rules:
    """Deletions are refused for good, at first."""
    return [{"kind": "permanent", "operation": "delete", "count": rng.randint(1, 3)}]


def _mute(rng: random.Random) -> Rules:
    """Duplicates that nobody can search for, at first."""
    return [*_forgetful(rng), {"kind": "permanent", "operation": "list", "count": rng.randint(1, 2)}]


def _amnesia(rng: random.Random) -> Rules:
    """Duplicates that are not seen at once either."""
    return [*_forgetful(rng), *_hidden(rng)]


def _twins(rng: random.Random) -> Rules:
    """A create is not answered and what it made not seen; the next one with its token makes another, which is seen."""
    first = rng.choice((1, 3))
    unanswered = [
        {"kind": kind, "operation": "create", "nth": first, "seconds": 4.5 * HIDDEN}
        for kind in ("lost_reply", "invisible_seconds")
    ]
    return [*unanswered, *({"kind": "forget_tokens", "operation": "create", "nth": nth} for nth in {first, 4})]


WEATHERS: dict[str, Callable[[random.Random], Rules]] = {
    "calm": _calm,
    "lost": _lost,
    "errors": _errors,
    "throttled": _throttled,
    "hanging": _hanging,
    "hidden": _hidden,
    "late": _late,
    "full": _full,
    "forgetful": _forgetful,
    "fog": _fog,
    "half": _half,
    "stubborn": _stubborn,
    "mute": _mute,
    "amnesia": _amnesia,
    "twins": _twins,
    "storm": _storm,
    "deaf": _deaf,
}

FORGETFUL = ("forgetful", "mute", "amnesia", "twins")
"""In these the cloud itself makes duplicates: the store cannot know of them before it searches."""


REFUSING = ("full", "half", "storm", "stubborn")
"""In these a build may fail: a creation is refused, or the deletion of a former instance that is in its way."""


_OF_MANAGER = ("register", "configure", "status", "cancel", "leave", "forget", "forget_infrastructure")
_KINDS_OF_MANAGER = {
    "lost": "lost_reply",
    "errors": "error_500",
    "throttled": "throttle",
    "hanging": "hang",
    "late": "latency",
    "storm": "lost_reply",
}


def manager_rules(weather: str, seed: int) -> Rules:
    """What goes wrong at a configuration manager meanwhile: nothing where the weather is of instances alone."""
    rng = random.Random(f"manager/{weather}/{seed}")
    if weather == "deaf":
        return [{"kind": "permanent", "operation": each, "count": 20} for each in ("forget", "forget_infrastructure")]
    kind = _KINDS_OF_MANAGER.get(weather)
    if kind is None:
        return []
    operations = rng.sample(_OF_MANAGER, 1 if kind == "hang" else 4)
    seconds = {"throttle": {"seconds": 2.0}, "latency": {"seconds": HIDDEN * rng.random()}}.get(kind, {})
    return [{"kind": kind, "operation": each, "nth": rng.randint(1, 3), **seconds} for each in operations]


def rules(weather: str, seed: int) -> Rules:
    """Its rules, the same for the same seed."""
    return WEATHERS[weather](random.Random(f"{weather}/{seed}"))
