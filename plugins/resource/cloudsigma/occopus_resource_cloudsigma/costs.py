"""The cost of instances: their shares of the account's bill, if they can be computed exactly.

Every five minutes CloudSigma measures the usage of each server and drive (`/usage`), and bills the account for usage
beyond its subscriptions (`/ledger`). An instance's share of a bill entry is its share of the usage measured at that
time. If a subscription covers a part, CloudSigma does not say which server's part that is, and there is no figure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

from occopus_core.api import InstanceId
from occopus_resource_cloudsigma.client import Client
from occopus_resource_cloudsigma.inventory import Inventory
from occopus_resource_cloudsigma.marks import Thing, made_at
from occopus_resource_cloudsigma.view import Parts

PAGE = 1500
"""The number of entries in one answer."""
_BURST = re.compile(r"Burst: .* of (\w+) for ")
_EXACT = Decimal("0.001")
"""The tolerated relative difference between bill and usage: amounts are rounded."""
_MARGIN = timedelta(minutes=10)
"""The tolerated difference between the clocks."""

Moment = tuple[str, str]
"""A resource and a time of measurement."""


@dataclass(slots=True)
class Bill:
    """The entries of the account's bill, with the usage that they are for."""

    used: dict[Moment, dict[str, Decimal]] = field(default_factory=dict)
    """The usage of each server and drive."""
    billed: dict[Moment, Thing] = field(default_factory=dict)

    @property
    def until(self) -> str:
        """The time of the latest entry: later usage is not billed yet."""
        return max((time for _, time in self.billed), default="")

    def share(self, ids: Sequence[str]) -> Decimal | None:
        """The cost of the servers and drives with these ids; None if it cannot be computed."""
        total, known = Decimal(0), False
        for moment, amounts in self.used.items():
            own = sum((amounts.get(id, Decimal(0)) for id in ids), Decimal(0))
            if not own or moment[1] > self.until:
                continue
            entry = self.billed.get(moment)
            whole = sum(amounts.values())
            if entry is None or abs(Decimal(str(entry["resource_amount"])) - whole) > whole * _EXACT:
                return None
            total, known = total + Decimal(str(entry["amount"])) * own / whole, True
        return total if known else None


class Costs:
    """Reads usage and ledger of one account. Keeps no state between calls."""

    def __init__(self, client: Client, inventory: Inventory) -> None:
        self._client = client
        self._inventory = inventory

    def of(self, ids: Sequence[InstanceId]) -> dict[InstanceId, Decimal | None]:
        """The cost of each instance in the currency of the account, None if it cannot be computed.

        Two calls, and one for every 1,500 entries since the oldest of them was made. Raises `ProviderError`.
        """
        with self._client.reading():
            found = self._inventory.everything()
            parts = {id: found.get(id, Parts()) for id in ids}
            made = [at for one in parts.values() for thing in _things(one) if (at := made_at(thing)) is not None]
            if not made:
                return dict.fromkeys(ids)
            try:
                bill = self._bill(datetime.fromtimestamp(min(made), UTC))
                return {id: bill.share([thing["uuid"] for thing in _things(one)]) for id, one in parts.items()}
            except InvalidOperation as error:
                raise ValueError(str(error)) from error

    def _bill(self, since: datetime) -> Bill:
        bill = Bill()
        days = {
            "poll_time_gt": f"{since:%Y-%m-%d}",
            "poll_time_lt": f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}",
        }
        for page in self._pages("/usage", days):
            for sample in page:
                amounts = bill.used.setdefault((sample["resource"], sample["poll_time"]), {})
                amounts[sample["uuid"]] = Decimal(str(sample["amount"]))
        for page in self._pages("/ledger/", {}):
            for entry in page:
                burst = _BURST.match(str(entry.get("reason")))
                if burst and entry.get("poll_time"):
                    bill.billed[burst[1], entry["poll_time"]] = entry
            times = [datetime.fromisoformat(entry["poll_time"]) for entry in page if entry.get("poll_time")]
            if times and min(times) < since - _MARGIN:  # entries are sorted, newest first
                break
        return bill

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[list[Thing]]:
        offset = 0
        while True:
            page: list[Thing] = self._client.get(path, {**query, "limit": PAGE, "offset": offset})["objects"]
            yield page
            offset += len(page)
            if len(page) < PAGE:
                return


def _things(parts: Parts) -> list[Thing]:
    return [*parts.servers, *parts.drives]
