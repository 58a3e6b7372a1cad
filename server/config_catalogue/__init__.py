"""The one list of settings: name, how its text is read, default, unit and meaning.

Defaults are text, as an operator would write them, so that a default takes the same path as a given value. Those of
the wire's limits come from `protocol.limits` (realtime.md, reading 9).
"""

from __future__ import annotations

from typing import Final

from server.config_catalogue import classes, doors, process
from server.config_catalogue.setting import DATA_DIR, DEV, HOST, PORT, Setting

__all__ = ["BY_NAME", "CATALOGUE", "DATA_DIR", "DEV", "HOST", "PORT", "Setting"]

CATALOGUE: Final[dict[str, tuple[Setting, ...]]] = {
    "Server": process.SERVER,
    "Services": process.SERVICES,
    "Keys": process.KEYS,
    "Classes and study time": classes.CLASSES,
    "plugNmeet": classes.PLUGNMEET,
    "RabbitMQ": classes.RABBITMQ,
    "Limits": doors.LIMITS,
    "Mobile": doors.MOBILE,
    "Event collector": doors.COLLECTOR,
    "xAPI": doors.XAPI,
    "Inside": process.INSIDE,
}
"""Groups in the order in which people read them."""

BY_NAME: Final = {setting.name: setting for settings in CATALOGUE.values() for setting in settings}
