"""A seeded class of players over real sockets that knows the truth it acted, and holds the server's answers to it."""

from load_tests.simulate.options import SimulateOptions
from load_tests.simulate.report import Outcome
from load_tests.simulate.simulation import run, simulate

__all__ = ["Outcome", "SimulateOptions", "run", "simulate"]
