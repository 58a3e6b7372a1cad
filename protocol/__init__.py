"""Every message on every wire, as msgspec structs: no I/O, no clock, no business rules."""
