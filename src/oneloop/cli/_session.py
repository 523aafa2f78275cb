"""The client that a command uses: where its key comes from, and which API it calls.

A key is never an argument, because other users of the machine can see those, and the shell writes
them down.
"""

import getpass
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneloop import AuthenticationError, ConfigurationError
from oneloop._environment import BASE_URL_VARIABLE, KEY_VARIABLES, key_from_environment
from oneloop_core import Secret

from ._console import hide
from ._exits import CommandError

if TYPE_CHECKING:
    from oneloop import Oneloop


@contextmanager
def open_client(
    key_file: Path | None, base_url: str | None, **options: Any
) -> "Generator[Oneloop]":
    """Yield a client with the key of the file, the environment or a prompt.

    If the API refuses the key, the error gets a note that says where the key came from.

    Args:
        key_file: The file, as the option `--key-file` gives it.
        base_url: The API, as the option `--base-url` gives it.
        options: Further arguments of `Oneloop`.

    Raises:
        CommandError: There is no key, the file has none, or an option is not valid.
    """
    from oneloop import Oneloop

    if key_file is not None:
        key: Secret | None = read_secret(key_file, "--key-file")
        origin, source = "--key-file: the SDK key", _named(key_file)
    else:
        key = key_from_environment()
        variable = next((one for one in KEY_VARIABLES if os.environ.get(one)), None)
        origin, source = variable or "the SDK key", variable or "what was typed"
        key = key or ask_secret("SDK key")
    if key is None:
        raise CommandError("there is no SDK key: set ONELOOP_SDK_KEY, or use --key-file FILE")
    hide(key)
    try:
        client = Oneloop(api_key=key.reveal(), base_url=base_url, **options)
    except ConfigurationError as error:
        words = str(error).replace(" or pass allow_http=True", "")
        url = BASE_URL_VARIABLE if base_url is None else "--base-url"
        for argument, name in {"base_url": url, "api_key": origin}.items():
            if words.startswith(f"{argument} "):
                words = name + words.removeprefix(argument)
        raise CommandError(words) from None
    try:
        with client:
            yield client
    except AuthenticationError as error:
        error.add_note(f"the SDK key came from {source}")
        raise


def read_secret(file: Path, option: str) -> Secret:
    """Return the secret that a file has, without the spaces and line ends around it.

    `-` is the standard input.

    Raises:
        CommandError: It cannot be read, is empty, or has several lines.
    """
    name = _named(file)
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text("utf-8")
    except UnicodeDecodeError:
        raise CommandError(f"{option}: {name} is not a text file") from None
    except OSError as error:
        raise CommandError(f"{option}: {name}: {error.strerror}") from None
    secret = Secret(text.strip())
    del text
    if not secret.reveal():
        raise CommandError(f"{option}: {name} is empty")
    if len(secret.reveal().splitlines()) > 1:
        raise CommandError(f"{option}: {name} has several lines; it must have the secret alone")
    return secret


def _named(file: Path) -> str:
    return "the standard input" if str(file) == "-" else str(file)


def ask_secret(what: str) -> Secret | None:
    """Ask for a secret on the terminal, without showing it; `None` if there is no terminal."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return None
    try:
        secret = Secret(getpass.getpass(f"{what}: ", sys.stderr).strip())
    except EOFError:  # Ctrl-D, which leaves the cursor where it is
        sys.stderr.write("\n")
        return None
    return secret if secret.reveal() else None
