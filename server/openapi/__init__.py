"""The server's own description: OpenAPI 3.1 out of the types that serve, and a page that shows it."""
