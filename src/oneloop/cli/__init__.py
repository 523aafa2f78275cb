"""The command `oneloop`: every operation of the API, and what an operator needs beyond them.

It needs the extra `cli`. It has no interface for applications: these import `oneloop`.
"""
