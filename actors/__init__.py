"""Actors: one per live room and per watch session; mailboxes, scheduler, supervision, and the ports storage fulfils."""
