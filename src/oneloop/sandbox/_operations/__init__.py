"""The handlers: one for each operation of the API, and for each control of the sandbox."""
