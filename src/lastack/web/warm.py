"""Asks what the overview will ask, as soon as the server runs, so that its first visitor need not wait."""

from __future__ import annotations

import logging
import threading
from urllib.parse import parse_qs

from lastack.model.errors import LastackError
from lastack.web.api import ENDPOINTS
from lastack.web.params import read_params
from lastack.web.responder import Responder

#: Requests of the overview without filter and time (`static/pages/overview.js`), those that are seen first at the top.
ADDRESSES = (
    "/series?metrics=sessions&by=ending",
    "/overview?",
    "/table?metrics=sessions%2Cattempts%2Cfailed_share%2Ccut_share%2Csyn%2Fattempt%2Crst.clt%2Fconnection%2C"
    "rst.srv%2Fconnection%2Charmed%2Cbytes&by=service&sort=sessions&top=10",
    "/times?",
    "/findings?",
)
#: With fewer sessions the answers are there at once anyway.
LEAST = 1_000_000
_LOG = logging.getLogger("lastack.web")


def warm(responder: Responder, least: int = LEAST) -> threading.Thread:
    """Begin to fill the cache of a server, in a thread that ends by itself.

    Args:
        responder: Whose cache.
        least: Sessions from which it is worth while.
    """
    thread = threading.Thread(target=_ask_all, args=(responder, least), name="warm", daemon=True)
    thread.start()
    return thread


def _ask_all(responder: Responder, least: int) -> None:
    endpoints = {one.path: one for one in ENDPOINTS}
    try:
        if responder.library.snapshot().rows < least:
            return
        for address in ADDRESSES:
            path, _, query = address.partition("?")
            values = read_params(endpoints[path].params, parse_qs(query))
            responder.fill(endpoints[path], values)
    except LastackError as error:  # whoever asks for it is told
        _LOG.warning("the overview was not prepared: %s", error)
