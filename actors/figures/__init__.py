"""Figures that dashboards read, from facts: pure. Times are Unix ms, `now` is an argument (learning-api.md)."""
