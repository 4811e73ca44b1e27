"""Prometheus metrics."""

from __future__ import annotations

from collections import Counter as Counted
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from occopus_core.engine.kernel.metrics import CallMetrics
from occopus_core.events import Event
from occopus_core.report import ReportState, state_at
from occopus_core.store.repository import Store

_SECONDS = (0.005, 0.02, 0.1, 0.5, 2.0, 10.0, 60.0, 300.0)


class Metrics(CallMetrics):
    """Counts passes, calls and events of one service; `text` includes the contents of the store."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._passes = Histogram(
            "occopus_pass_seconds",
            "maintenance passes by outcome",
            ["outcome"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._calls = Histogram(
            "occopus_call_seconds",
            "calls of plugins by outcome",
            ["outcome"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._alerts = Counter("occopus_alerts", "alerts by outcome", ["outcome"], registry=self._registry)
        self._events = Counter("occopus_events", "events by kind", ["kind"], registry=self._registry)

    def alerted(self, outcome: str) -> None:
        """Count an alert: "scaled" or "ignored"."""
        self._alerts.labels(outcome).inc()

    def called(self, seconds: float, error: Exception | None) -> None:
        """See `CallMetrics`."""
        self._calls.labels(_outcome(error)).observe(seconds)

    def passed(self, seconds: float, error: Exception | None) -> None:
        """See `CallMetrics`."""
        self._passes.labels(_outcome(error)).observe(seconds)

    def happened(self, event: Event) -> None:
        """Count an event."""
        self._events.labels(event.kind.value).inc()

    def show(self, store: Store) -> None:
        """Include the contents of this store from now on."""
        self._registry.register(_Contents(store))

    def text(self) -> bytes:
        """The metrics in Prometheus's text format. Raises `StoreError`."""
        return generate_latest(self._registry)


def _outcome(error: Exception | None) -> str:
    return "ok" if error is None else type(error).__name__


class _Contents(Collector):
    """Counts the contents of the store at each scrape."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> Iterator[Metric]:
        """Return nothing: the store may not exist yet."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Gauges for infrastructures and instances; every state of a report has a value."""
        infrastructures = GaugeMetricFamily("occopus_infrastructures", "by state", labels=["state"])
        for state, count in self._store.service.states().items():
            infrastructures.add_metric([state.value], count)
        yield infrastructures
        frozen = GaugeMetricFamily("occopus_infrastructures_frozen", "infrastructures in which healing is frozen")
        frozen.add_metric([], self._store.service.frozen())
        yield frozen
        yield self._instance_states()
        instances = GaugeMetricFamily("occopus_instances", "by stage", labels=["stage"])
        for stage, count in self._store.service.stages().items():
            instances.add_metric([stage], count)
        yield instances

    def _instance_states(self) -> Metric:
        counts: Counted[str] = Counted()
        for (stage, condition), count in self._store.service.conditions().items():
            counts[state_at(stage, condition)] += count
        states = GaugeMetricFamily("occopus_instance_states", "instances by state of the report", labels=["state"])
        for state in ReportState:
            states.add_metric([state.value], counts[state.value])
        return states
