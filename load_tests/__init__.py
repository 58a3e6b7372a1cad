"""Seeded classes of players, and measurements of a server that is known only by its protocol."""
