"""How requests reach the server: our own connections over httptools, or an `httpx.Client`."""
