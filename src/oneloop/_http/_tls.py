"""The authorities that certificates of servers are verified with. Import it on first use: `ssl`."""

import os
import re
import ssl
from contextlib import suppress
from pathlib import Path

from . import _faults

_SYSTEM = ssl.get_default_verify_paths()

_FINAL = re.compile("ALERT_.*(CERTIFICATE|UNKNOWN_CA|HANDSHAKE_FAILURE|ACCESS_DENIED)")
"""The reasons of errors by which a server refuses our certificate, or demands one."""

_contexts: dict[tuple[str, ...], tuple[object, ssl.SSLContext]] = {}
"""The newest context for each setting of the variables, and the state of the files in it. There is
no lock: threads that read the same files at the same time get equal contexts."""


def client_context() -> ssl.SSLContext:
    """Return the context that all clients share.

    It trusts the authorities in `SSL_CERT_FILE` and `SSL_CERT_DIR` if either is set and not empty,
    else those of the system, else those of certifi. Files that have changed are read again, which
    takes tens of milliseconds: see `is_loaded`.

    Raises:
        TransportError: A variable names something that cannot be used.
    """
    setting, state, context = _current()
    if context is None:
        context = _named(*setting) if any(setting) else _default()
        context.set_alpn_protocols(["http/1.1"])
        if len(_contexts) >= 8:  # one needs about 1 MB
            _contexts.clear()
        _contexts[setting] = state, context
    return context


def is_loaded() -> bool:
    """Return whether `client_context` would return at once, without reading certificates."""
    return _current()[2] is not None


def is_final(error: BaseException | None) -> bool:
    """Return whether another attempt would fail in the same way.

    It would if the server's certificate is not valid, or if the server refuses ours or demands one.
    With TLS 1.3, a server may say the latter only when we read the response.
    """
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        if isinstance(error, ssl.SSLError) and _FINAL.search(getattr(error, "reason", None) or ""):
            return True
        error = error.__cause__ or error.__context__
    return False


def _current() -> tuple[tuple[str, ...], object, ssl.SSLContext | None]:
    """Return the file and the directories in the variables, their state, and their context."""
    directories = os.environ.get("SSL_CERT_DIR", "").split(os.pathsep)
    setting = (os.environ.get("SSL_CERT_FILE", ""), *filter(None, directories))
    paths = setting if any(setting) else (_SYSTEM.openssl_cafile, _SYSTEM.openssl_capath)
    state: list[tuple[int, ...]] = []
    for path in filter(None, paths):
        with suppress(OSError):
            now = Path(path).stat()
            state.append((now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns, now.st_ctime_ns))
    known = _contexts.get(setting)
    return setting, state, known[1] if known is not None and known[0] == state else None


def _named(file: str, *directories: str) -> ssl.SSLContext:
    # Images with a bundle only set both variables; their directory has no names for OpenSSL.
    problems = {path: _problem(path, alone=not file) for path in directories}
    for path, problem in problems.items():
        # As for OpenSSL, some of several directories may be missing.
        if problem and (all(problems.values()) or Path(path).is_file()):
            raise _faults.unopened(f"SSL_CERT_DIR names {path!r}, which cannot be used: {problem}")
    return _created("SSL_CERT_FILE", file, directories)


def _default() -> ssl.SSLContext:
    context = _created()
    if context.cert_store_stats()["x509"]:
        return context
    # OpenSSL takes an empty variable for the name of a file, so we name the system's files here.
    context.load_verify_locations(capath=_SYSTEM.openssl_capath)
    with suppress(OSError):
        context.load_verify_locations(cafile=_SYSTEM.openssl_cafile)
    # A directory is read when a certificate is verified, so its certificates do not count yet.
    if context.cert_store_stats()["x509"] or not _problem(_SYSTEM.openssl_capath, alone=True):
        return context
    import certifi  # on first use, as most systems have certificates

    return _created("certifi", certifi.where())


def _created(source: str = "", file: str = "", directories: tuple[str, ...] = ()) -> ssl.SSLContext:
    try:
        capath = os.pathsep.join(directories) or None
        context = ssl.create_default_context(cafile=file or None, capath=capath)
        if not file or context.cert_store_stats()["x509"]:
            return context
        problem = "it contains no certificate"  # but perhaps a list of revoked ones
    except OSError as error:
        problem = str(error.strerror)
        if error.filename not in (None, file):  # OpenSSL's own errors do not name the file
            source, file = "SSLKEYLOGFILE", error.filename
        elif file and isinstance(error, ssl.SSLError):
            problem = "it is not a file of certificates in PEM format"
    named = f"{source} names {file!r}, which cannot be used" if file else "OpenSSL cannot be used"
    raise _faults.unopened(f"{named}: {problem}")


def _problem(directory: str, *, alone: bool) -> str | None:
    """Return why a directory cannot be used, or why it is useless where there is no file."""
    try:
        names = [path.name for path in Path(directory).iterdir()]
    except OSError as error:
        return str(error.strerror)
    if any(re.fullmatch(r"[0-9a-f]{8}\.[0-9]+", name) for name in names) or not alone:
        return None
    return 'it contains no certificate under a hash of its subject; run "openssl rehash" on it'
