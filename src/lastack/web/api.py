"""Every endpoint of the API, in the order in which the documentation lists them."""

from __future__ import annotations

from lastack.web import (
    api_compare,
    api_grouped,
    api_half_closed,
    api_meta,
    api_overview,
    api_session,
    api_sessions,
    api_whatif,
)
from lastack.web.endpoint import Endpoint

#: Where the API is; a change that breaks readers gets a new number.
PREFIX = "/api/v1"

#: To add an endpoint, declare it in a module and name the module here. Fixed paths come before those with parameters.
ENDPOINTS: tuple[Endpoint, ...] = (
    *api_meta.ENDPOINTS,
    *api_overview.ENDPOINTS,
    *sorted((*api_sessions.ENDPOINTS, *api_session.ENDPOINTS), key=lambda one: "{" in one.path),
    *api_grouped.ENDPOINTS,
    *api_half_closed.ENDPOINTS,
    *api_compare.ENDPOINTS,
    *api_whatif.ENDPOINTS,
)
