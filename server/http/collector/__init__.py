"""The event collector: what others say happened, in (`door.py`), and what became of it, out (`reading.py`)."""
