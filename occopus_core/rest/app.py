"""The application: all routes and the middleware."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Collection

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.middleware.cors import CORSMiddleware

from occopus_core.installed import PluginList
from occopus_core.rest import docs, document, page, problems
from occopus_core.rest.access import Access
from occopus_core.rest.auth import Gatekeeper
from occopus_core.rest.limits import Limits
from occopus_core.rest.metrics import Metrics
from occopus_core.rest.routes import (
    alerts,
    descriptions,
    events,
    infrastructures,
    life_time,
    logs,
    node_definitions,
    notifications,
    operations,
    overview,
    plugins,
    scaling,
    whoami,
)
from occopus_core.rest.service import Service


def create_app(
    service: Service,
    gatekeeper: Gatekeeper,
    limits: Limits,
    metrics: Metrics,
    *,
    origins: Collection[str] = (),
    hosts: Collection[str] = (),
    endpoints: Collection[str] = (),
) -> FastAPI:
    """The API of a service, and the installed page.

    `origins` are web pages that may call; `hosts`, if given, are the accepted host names; `endpoints` may be named in
    node definitions that clients store. Raises `PluginError`.
    """

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        service.start()
        yield
        await run_in_threadpool(service.close)

    # FastAPI's own pages of the API would load scripts from other servers: see `docs`.
    app = FastAPI(
        title="Occopus", version="2", lifespan=lifespan, docs_url=None, redoc_url=None, redirect_slashes=False
    )
    app.state.service, app.state.gatekeeper, app.state.limits = service, gatekeeper, limits
    app.state.metrics, app.state.streams, app.state.endpoints = metrics, 0, frozenset(endpoints)
    app.state.plugins = PluginList()
    resources = (
        infrastructures,
        descriptions,
        overview,
        logs,
        life_time,
        scaling,
        alerts,
        events,
        notifications,
        node_definitions,
        plugins,
    )
    for one in (*resources, operations, whoami):
        app.include_router(one.router)
    problems.install(app, service.manager.redact)
    document.install(app, gatekeeper)
    docs.install(app)
    page.install(app, page.find())
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(origins),
            allow_methods=problems.METHODS,
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "If-Match", "Last-Event-ID"],
            expose_headers=["ETag"],
        )
    app.add_middleware(Access, origins=origins, hosts=hosts)
    return app
