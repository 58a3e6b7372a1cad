"""What goes on behind the event collector: old things go (`sweeping.py`), views become study time (`study.py`)."""
