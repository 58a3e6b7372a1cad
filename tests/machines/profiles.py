"""How hard the properties look: a little in `make check`, ten times more in `make test`, `thorough` the most."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]

settings.register_profile("quick", max_examples=40, deadline=None, suppress_health_check=QUIET)
settings.register_profile("usual", max_examples=500, deadline=None, suppress_health_check=QUIET)
settings.register_profile("thorough", max_examples=20_000, deadline=None, suppress_health_check=QUIET)
settings.register_profile("mutants", max_examples=600, deadline=None, suppress_health_check=QUIET, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
