"""The edges and the composition root: sockets, HTTP, auth, pages, metrics and the command line."""
