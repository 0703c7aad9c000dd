"""Profiles of the property tests, by LASTACK_PROPERTY: ci (a minute in all), quick, long or a number of examples."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
NAME = os.environ.get("LASTACK_PROPERTY", "ci")
settings.register_profile("ci", max_examples=200, derandomize=True, **COMMON)
settings.register_profile("quick", max_examples=50, derandomize=True, **COMMON)
settings.register_profile("long", max_examples=20_000, **COMMON)
if NAME.isdigit():
    settings.register_profile(NAME, max_examples=int(NAME), **COMMON)
settings.load_profile(NAME)
