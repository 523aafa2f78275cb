"""TLS over memory buffers, for both drivers."""

import ssl

from oneloop.transport import TransportError

from ._tls import is_final


class Layer:
    """The TLS of one connection.

    Attributes:
        outgoing: What is to be written.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self.outgoing, server_hostname=host)
        self._has_read = False
        self._version: str | None = None

    def shake_hands(self, data: bytes | None = None) -> bool:
        """Take what was read, `b""` at its end; return whether the handshake needs more.

        Raises:
            TransportError: The handshake failed.
        """
        try:
            if data:
                self._incoming.write(data)
            elif data is not None:
                self._incoming.write_eof()
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLError as error:
            may_pass, detail = not is_final(error), str(error)
        else:
            self._version = self._object.version()  # there is none any more after an error
            if self._object.selected_alpn_protocol() in (None, "http/1.1"):
                return False
            may_pass, detail = False, "ssl_context must offer no protocol but http/1.1"
        raise TransportError("cannot connect", detail=detail, sent=False, passing=may_pass)

    def encrypted(self, data: bytes) -> bytes:
        """Return what to write."""
        self._object.write(data)
        return self.outgoing.read()

    def decrypted(self, data: bytes) -> tuple[bytes, bool]:
        """Take what was read, `b""` at its end; return what it means, and whether it is the end.

        The end may come without TLS's own message for it, which many servers do not send.

        Raises:
            TransportError: It cannot be decrypted, or the server refused our certificate.
        """
        if data:
            self._incoming.write(data)
        parts: list[bytes] = []
        try:
            while part := self._object.read(65536):
                parts.append(part)
                self._has_read = True
        except ssl.SSLWantReadError:
            return b"".join(parts), not data
        except ssl.SSLError as error:
            # In TLS 1.3, a server that refuses our certificate says so only after our part of the
            # handshake. It has not read the request, as its own part of the handshake has failed.
            is_refusal = (
                is_final(error)
                and not self._has_read
                and self._version == "TLSv1.3"
                and not self._object.context.post_handshake_auth
            )
            problem = "cannot connect" if is_refusal else "the connection was lost while waiting"
            failure = TransportError(
                problem, detail=str(error), sent=not is_refusal, passing=not is_refusal
            )
        else:
            return b"".join(parts), True
        raise failure
