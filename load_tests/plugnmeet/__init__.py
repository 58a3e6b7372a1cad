"""A stand-in for the sending side of plugNmeet: seeded classes, their webhooks with all their faults, and the truth."""
