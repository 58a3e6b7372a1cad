"""History from elsewhere: lines read into chunks (`reading.py`), and rooms that run told of it (`rooms.py`)."""
