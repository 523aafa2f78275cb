"""The command `oneloop`: every operation of the API, and what an operator needs beyond them.

It needs the extra `cli`. It has no interface for applications: these import `oneloop`.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # `oneloop.__main__` imports it on use. This shows it to PyInstaller and cx_Freeze.
    from . import _app as _app
