"""Profiles of the property tests, by LASTACK_PROPERTY: ci (about a minute in all), quick, long."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

COMMON = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("ci", max_examples=250, derandomize=True, **COMMON)
settings.register_profile("quick", max_examples=50, derandomize=True, **COMMON)
settings.register_profile("long", max_examples=20_000, **COMMON)
settings.load_profile(os.environ.get("LASTACK_PROPERTY", "ci"))
