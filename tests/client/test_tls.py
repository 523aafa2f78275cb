"""Which authorities are trusted, when their files are read, and which TLS errors are final."""

import gc
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import certifi
import pytest
import trustme

from oneloop._http import _tls
from oneloop._http._tls import client_context, is_final, is_loaded
from oneloop.transport import TransportError

HOST = "api.test"
REHASH = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl names the files")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin without loaded certificates, and without the variables of this machine."""
    monkeypatch.setattr(_tls, "_contexts", {})
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """Return an authority that no system trusts."""
    return trustme.CA()


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    """Return a file with the certificate of the authority."""
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return str(tmp_path / "ca.pem")


@pytest.fixture
def hashed(authority: trustme.CA, tmp_path: Path) -> str:
    """Return a directory in which OpenSSL finds the certificate of the authority."""
    folder = tmp_path / "hashed"
    folder.mkdir()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    subprocess.run(["openssl", "rehash", folder], check=True)
    return str(folder)


def server_context(authority: trustme.CA, *hosts: str, **expiry: Any) -> ssl.SSLContext:
    """Return the context of a server with a certificate for these hosts."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*(hosts or (HOST,)), **expiry).configure_cert(context)
    return context


def failure(server: ssl.SSLContext | Callable[[socket.socket], None]) -> Exception | None:
    """Return how a call with `client_context` fails that handshakes, writes and reads."""
    return connected(client_context(), server)


def connected(
    client: ssl.SSLContext, server: ssl.SSLContext | Callable[[socket.socket], None]
) -> Exception | None:
    """Return how a call over loopback fails, if it does."""

    def serve() -> None:
        with suppress(OSError), closing(listener.accept()[0]) as accepted:
            if not isinstance(server, ssl.SSLContext):
                server(accepted)
                return
            with server.wrap_socket(
                accepted, server_side=True, do_handshake_on_connect=False
            ) as secure:
                try:
                    secure.do_handshake()
                    secure.sendall(secure.recv(10))
                except OSError:
                    ended.wait(10)  # as closing at once may discard the alert

    ended = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with (
                socket.create_connection(listener.getsockname(), 10) as plain,
                client.wrap_socket(plain, server_hostname=HOST) as secure,
            ):
                secure.sendall(b"request")
                assert secure.recv(10) == b"request"
        except OSError as error:
            return error
        finally:
            ended.set()
            thread.join()
    return None


def is_trusted(authority: trustme.CA) -> bool:
    """Return whether `client_context` trusts an authority."""
    error = failure(server_context(authority))
    assert error is None or isinstance(error, ssl.SSLCertVerificationError)
    return error is None


def detail() -> str:
    """Return what the error says that `client_context` raises."""
    with pytest.raises(TransportError) as caught:
        client_context()
    error = caught.value
    assert (error.problem, error.sent, error.passing) == ("cannot open connections", False, False)
    assert not is_loaded()
    return error.detail


def test_a_named_file_is_trusted_alone(
    bundle: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authorities in `SSL_CERT_FILE` are trusted, and those of the system are not."""
    assert not is_trusted(authority)
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    assert is_trusted(authority)
    assert client_context().cert_store_stats()["x509"] == 1


@REHASH
@pytest.mark.parametrize("form", ["{}", "/nowhere:{}", "{}:/nowhere", ":{}:", "{}:{}"])
def test_a_named_directory_is_trusted_alone(
    form: str, hashed: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`SSL_CERT_DIR` is a list of directories, of which some may be missing."""
    value = form.format(hashed, hashed).replace(":", os.pathsep)
    monkeypatch.setenv("SSL_CERT_DIR", value)
    assert is_trusted(authority)
    assert not is_trusted(trustme.CA())
    assert client_context().cert_store_stats()["x509"] == 1  # now that it has been found


@REHASH
def test_both_variables_count(
    hashed: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """If both variables are set, the authorities of either are trusted."""
    other = trustme.CA()
    other.cert_pem.write_to_path(tmp_path / "other.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "other.pem"))
    monkeypatch.setenv("SSL_CERT_DIR", hashed)
    assert is_trusted(authority)
    assert is_trusted(other)


def test_a_directory_without_hashes_may_be_named_beside_a_file(
    bundle: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images with a bundle only name it and its directory."""
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    monkeypatch.setenv("SSL_CERT_DIR", str(Path(bundle).parent))
    assert is_trusted(authority)


def revoked(authority: trustme.CA) -> bytes:
    """Return a list of revoked certificates."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization

    key = serialization.load_pem_private_key(authority.private_key_pem.bytes(), None)
    now = datetime.now(UTC)
    builder = x509.CertificateRevocationListBuilder().last_update(now)
    builder = builder.next_update(now + timedelta(days=1))
    builder = builder.issuer_name(x509.Name([]))
    signed = builder.sign(key, hashes.SHA256())  # type: ignore[arg-type]
    return signed.public_bytes(serialization.Encoding.PEM)


JUNK = "it is not a file of certificates in PEM format"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "No such file or directory"),
        ("directory", "Is a directory"),
        (lambda _: b"", JUNK),
        (lambda _: b"junk", JUNK),
        (lambda _: bytes(1000), JUNK),
        (lambda one: one.private_key_pem.bytes(), JUNK),
        (lambda one: one.cert_pem.bytes()[:200], JUNK),
        (lambda one: one.cert_pem.bytes() + one.cert_pem.bytes()[:200], JUNK),
        (lambda one: ssl.PEM_cert_to_DER_cert(one.cert_pem.bytes().decode()), JUNK),
        (revoked, "it contains no certificate"),
    ],
    ids=["missing", "directory", "empty", "junk", "zeros", "key", "cut", "half", "DER", "revoked"],
)
def test_a_file_that_cannot_be_used_is_named_with_its_variable(
    content: Any,
    problem: str,
    authority: trustme.CA,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The error says which variable names which file, and what is wrong with it."""
    path = tmp_path / "ca.pem"
    if content == "directory":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content(authority))
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    assert detail() == f"SSL_CERT_FILE names {str(path)!r}, which cannot be used: {problem}"
    if content == "directory":
        path.rmdir()
    authority.cert_pem.write_to_path(path)
    assert is_trusted(authority)  # once it has been mended


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_a_file_that_must_not_be_read_is_named(
    bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file without permission to read it is an error, too."""
    Path(bundle).chmod(0)
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    assert detail().endswith(f"{bundle!r}, which cannot be used: Permission denied")


UNHASHED = 'it contains no certificate under a hash of its subject; run "openssl rehash" on it'


@pytest.mark.parametrize(
    ("value", "path", "problem"),
    [
        ("{0}/no", "{0}/no", "No such file or directory"),
        ("{0}/no:{0}/nor", "{0}/no", "No such file or directory"),
        ("{0}/ca.pem", "{0}/ca.pem", "Not a directory"),
        ("/:{0}/ca.pem", "{0}/ca.pem", "Not a directory"),
        ("{0}", "{0}", UNHASHED),
        ("{0}:{0}/no", "{0}", UNHASHED),
    ],
)
@pytest.mark.parametrize("file", ["", "ca.pem"])
def test_a_directory_that_cannot_be_used_is_named_with_its_variable(
    value: str, path: str, problem: str, file: str, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside a file, a directory need not have certificates, but it has to be a directory."""
    folder = str(Path(bundle).parent)
    monkeypatch.setenv("SSL_CERT_DIR", value.format(folder).replace(":", os.pathsep))
    monkeypatch.setenv("SSL_CERT_FILE", bundle if file else "")
    if file and problem == UNHASHED:
        client_context()
    elif value.startswith("/:") and not file:
        assert detail().startswith("SSL_CERT_DIR names '/', which cannot be used: it contains no")
    else:
        named = path.format(folder)
        assert detail() == f"SSL_CERT_DIR names {named!r}, which cannot be used: {problem}"


def test_a_file_for_keys_that_cannot_be_written_is_named(
    bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python itself reads `SSLKEYLOGFILE`; the certificates are not blamed for it."""
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    monkeypatch.setenv("SSLKEYLOGFILE", "/nowhere/keys")
    assert detail() == (
        "SSLKEYLOGFILE names '/nowhere/keys', which cannot be used: No such file or directory"
    )


def test_an_openssl_that_cannot_be_used_is_an_error_of_ours(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OpenSSL refuses to make a context if its configuration is broken."""

    def refuse(**_: Any) -> ssl.SSLContext:
        raise ssl.SSLError(1, "library has no ciphers")

    monkeypatch.setattr(ssl, "create_default_context", refuse)
    assert detail() == "OpenSSL cannot be used: library has no ciphers"


@pytest.mark.parametrize("named", [False, True])
def test_a_context_is_shared_until_a_file_changes(
    named: bool, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same files are read once. `is_loaded` tells whether they are to be read."""
    if named:
        monkeypatch.setenv("SSL_CERT_FILE", bundle)
    assert not is_loaded()
    first = client_context()
    assert is_loaded()
    assert client_context() is first
    with monkeypatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", bundle + "2")
        assert not is_loaded()
    assert is_loaded()
    assert client_context() is first


@pytest.mark.parametrize("way", ["written", "renamed", "another link", "deleted and written"])
def test_a_file_that_was_rotated_is_read_again(
    way: str, bundle: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change counts even if it keeps the size and the time of the last change of the file."""
    path, other = Path(bundle), trustme.CA()
    content = other.cert_pem.bytes()
    size = max(len(content), path.stat().st_size)
    path.write_bytes(authority.cert_pem.bytes().ljust(size, b"\n"))
    os.utime(path, (1_000_000_000, 1_000_000_000))
    shown = path.with_name("link.pem")
    shown.symlink_to(path.name)
    monkeypatch.setenv("SSL_CERT_FILE", str(shown))
    assert is_trusted(authority)

    new = path if way == "written" else path.with_name("new.pem")
    if way == "deleted and written":
        path.unlink()
        assert not is_loaded()
        assert "No such file" in detail()
        new = path
    new.write_bytes(content.ljust(size, b"\n"))
    os.utime(new, (1_000_000_000, 1_000_000_000))
    if way == "renamed":
        new.rename(path)
    if way == "another link":
        shown.unlink()
        shown.symlink_to(new.name)
    assert not is_loaded()
    assert is_trusted(other)
    assert not is_trusted(authority)
    assert is_loaded()


@REHASH
def test_a_directory_that_was_rotated_is_read_again(
    hashed: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A certificate that was found in a directory is forgotten when the directory changes."""
    monkeypatch.setenv("SSL_CERT_DIR", hashed)
    assert is_trusted(authority)
    other = trustme.CA()
    other.cert_pem.write_to_path(Path(hashed) / "ca.pem")
    subprocess.run(["openssl", "rehash", hashed], check=True)
    assert not is_loaded()
    assert is_trusted(other)
    assert not is_trusted(authority)


def test_the_systems_file_may_be_rotated(
    bundle: str, authority: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The state of the system's own file and directory counts if no variable is set."""
    changed = _tls._SYSTEM._replace(openssl_cafile=bundle)
    monkeypatch.setattr(_tls, "_SYSTEM", changed)
    client_context()
    assert is_loaded()
    trustme.CA().cert_pem.write_to_path(bundle)
    assert not is_loaded()


def test_rotations_and_settings_do_not_grow(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Old contexts are dropped, be it of an older file or of one of many settings."""
    contexts: list[weakref.ref[ssl.SSLContext]] = []
    content = Path(bundle).read_bytes()
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    for number in range(20):
        Path(bundle).write_bytes(content + b"\n" * number)
        contexts.append(weakref.ref(client_context()))
    gc.collect()
    assert [context() is None for context in contexts] == [True] * 19 + [False]
    for number in range(20):
        path = Path(f"{bundle}{number}")
        path.write_bytes(content)
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        contexts.append(weakref.ref(client_context()))
    gc.collect()
    assert len([context for context in contexts if context() is not None]) <= 8
    assert contexts[-1]() is client_context()


def test_threads_may_load_at_the_same_time(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each thread gets a context, and later ones share one of these."""
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    start = threading.Barrier(8)

    def load(_: int) -> ssl.SSLContext:
        start.wait()
        return client_context()

    with ThreadPoolExecutor(8) as threads:
        contexts = list(threads.map(load, range(8)))
    assert {context.cert_store_stats()["x509"] for context in contexts} == {1}
    assert client_context() in contexts


def test_a_context_verifies_and_speaks_http(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The context verifies certificates and host names, and offers HTTP/1.1 only."""
    monkeypatch.setenv("SSL_CERT_FILE", bundle)
    context = client_context()
    assert context.check_hostname
    assert context.verify_mode is ssl.CERT_REQUIRED
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(incoming, outgoing, server_hostname=HOST).do_handshake()
    hello = outgoing.read()
    assert b"\x08http/1.1" in hello
    assert b"\x02h2" not in hello


def system(folder: Path, *files: str) -> Any:
    """Return the paths of a system with these files in its directory of certificates."""
    folder.mkdir()
    for name in files:
        shutil.copy(certifi.where(), folder / name)
    return _tls._SYSTEM._replace(
        openssl_cafile=str(folder / "cert.pem"), openssl_capath=str(folder)
    )


@pytest.mark.parametrize(
    ("files", "loaded"),
    [
        (["cert.pem"], "system"),
        (["0123abcd.0"], "nothing"),
        (["readme.txt"], "certifi"),
        ([], "certifi"),
    ],
)
@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certifi_is_used_where_the_system_has_no_certificates(
    files: list[str], loaded: str, variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory counts if it has a hashed name; OpenSSL looks there when it verifies."""
    paths = system(tmp_path / "system", *files)
    monkeypatch.setattr(_tls, "_SYSTEM", paths)
    monkeypatch.setenv(variable, "")
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asked: list[str | None] = []
    real = ssl.create_default_context

    def create(cafile: str | None, capath: str | None) -> ssl.SSLContext:
        asked.append(cafile)
        return real(cafile=cafile, capath=capath) if cafile else bare

    monkeypatch.setattr(ssl, "create_default_context", create)
    context = client_context()
    assert bool(context.cert_store_stats()["x509"]) == (loaded != "nothing")
    assert asked == [None, certifi.where()] if loaded == "certifi" else [None]
    assert (context is bare) == (loaded != "certifi")


def test_certifi_without_its_file_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen application may lack the file of certifi."""
    monkeypatch.setattr(_tls, "_SYSTEM", system(tmp_path / "system"))
    bare = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    monkeypatch.setattr(bare, "load_default_certs", lambda *_: None, raising=False)
    monkeypatch.setattr(certifi, "where", lambda: "/nowhere/cacert.pem")
    monkeypatch.setenv("SSL_CERT_FILE", "")
    monkeypatch.setenv("SSL_CERT_DIR", "")
    assert detail().startswith("certifi names '/nowhere/cacert.pem', which cannot be used: No such")


@pytest.mark.parametrize("directories", ["", os.pathsep])
def test_empty_variables_mean_the_system(directories: str) -> None:
    """To OpenSSL, an empty variable is the name of a file that does not exist; not to us."""
    code = (
        "import sys; from oneloop._http import _tls; context = _tls.client_context();"
        "print(context.cert_store_stats()['x509'] > 0, 'certifi' in sys.modules)"
    )
    paths = ssl.get_default_verify_paths()
    if not Path(paths.openssl_cafile).is_file():
        pytest.skip("this system has no file of certificates")
    environment = {**os.environ, "SSL_CERT_FILE": "", "SSL_CERT_DIR": directories}
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    assert ran.stdout == "True False\n"


def test_importing_the_client_imports_no_tls() -> None:
    """`ssl` is imported with the first https URL, as it is slow to import."""
    code = "import sys, oneloop; oneloop.Oneloop; print({'ssl', 'certifi'} & {*sys.modules})"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "set()\n"


@pytest.fixture
def trusting(bundle: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trust the authority."""
    monkeypatch.setenv("SSL_CERT_FILE", bundle)


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def demanding(
    request: pytest.FixtureRequest, trusting: None, authority: trustme.CA
) -> ssl.SSLContext:
    """Return the context of a server that demands a certificate of the authority."""
    context = server_context(authority)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = context.maximum_version = request.param
    return context


def own_context(authority: trustme.CA, issuer: trustme.CA, **expiry: Any) -> ssl.SSLContext:
    """Return the context of a client that has a certificate itself."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    issuer.issue_cert("client@api.test", **expiry).configure_cert(context)
    return context


YESTERDAY = datetime.now(UTC) - timedelta(days=1)
OLD = {"not_before": YESTERDAY - timedelta(days=1), "not_after": YESTERDAY}


def test_a_demanded_certificate_is_final(demanding: ssl.SSLContext) -> None:
    """A server that demands a certificate would demand it again."""
    error = failure(demanding)
    assert isinstance(error, ssl.SSLError)
    assert error.reason in (
        "SSLV3_ALERT_HANDSHAKE_FAILURE",
        "TLSV13_ALERT_CERTIFICATE_REQUIRED",
    )
    assert is_final(error)


@pytest.mark.parametrize("what", ["good", "expired", "unknown"])
def test_a_refused_certificate_is_final(
    what: str, demanding: ssl.SSLContext, authority: trustme.CA
) -> None:
    """A server that refuses our certificate would refuse it again."""
    issuer = trustme.CA() if what == "unknown" else authority
    expiry = OLD if what == "expired" else {}
    error = connected(own_context(authority, issuer, **expiry), demanding)
    if what == "good":
        assert error is None
        return
    assert isinstance(error, ssl.SSLError)
    reasons = {"expired": "SSLV3_ALERT_CERTIFICATE_EXPIRED", "unknown": "TLSV1_ALERT_UNKNOWN_CA"}
    assert error.reason == reasons[what]
    assert is_final(error)


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("what", ["unknown authority", "expired", "other host"])
def test_a_bad_certificate_of_a_server_is_final(what: str, authority: trustme.CA) -> None:
    """A certificate that is not valid is not valid the next time either."""
    issuer = trustme.CA() if what == "unknown authority" else authority
    hosts = ["other.test"] if what == "other host" else []
    error = failure(server_context(issuer, *hosts, **(OLD if what == "expired" else {})))
    assert isinstance(error, ssl.SSLCertVerificationError)
    assert is_final(error)
    wrapped = RuntimeError()
    wrapped.__cause__ = ConnectionError()
    wrapped.__cause__.__context__ = error
    assert is_final(wrapped)


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize(
    "server",
    [
        lambda connection: connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        lambda connection: connection.recv(10_000),
        socket.socket.close,
    ],
    ids=["plain HTTP", "closes after the hello", "closes at once"],
)
def test_other_failures_of_the_handshake_are_not_final(
    server: Callable[[socket.socket], None],
) -> None:
    """A server that is starting or stopping may do these."""
    error = failure(server)
    assert error is not None
    assert not is_final(error)


@pytest.mark.parametrize(
    ("reason", "final"),
    [
        ("SSLV3_ALERT_BAD_CERTIFICATE", True),
        ("SSLV3_ALERT_UNSUPPORTED_CERTIFICATE", True),
        ("SSLV3_ALERT_CERTIFICATE_REVOKED", True),
        ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", True),
        ("TLSV1_ALERT_ACCESS_DENIED", True),
        ("TLSV1_ALERT_INTERNAL_ERROR", False),
        ("SSLV3_ALERT_BAD_RECORD_MAC", False),
        ("WRONG_VERSION_NUMBER", False),
        (None, False),
    ],
)
def test_alerts_about_certificates_are_final(reason: str | None, final: bool) -> None:
    """These are the alerts that no handshake above brings about."""
    error = ssl.SSLError(1, "alert")
    error.reason = reason  # type: ignore[assignment]
    assert is_final(error) == final


def test_an_error_without_tls_is_not_final() -> None:
    """`reason` of another error, or none at all, says nothing."""
    assert not is_final(ssl.SSLError(1, "no reason"))
    assert not is_final(UnicodeDecodeError("ascii", b"", 0, 0, "ALERT_BAD_CERTIFICATE"))
    assert not is_final(None)
