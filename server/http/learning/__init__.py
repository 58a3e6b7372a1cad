"""Dashboards of learners: `/api/v1/learning` and `/api/v1/liveclass` (learning-api.md)."""
