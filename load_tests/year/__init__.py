"""A year of a real-size platform: written as history for `rollcall import`, then asked for as dashboards do."""
