"""TLS over memory buffers, for both drivers."""

import ssl

from oneloop.transport import TransportError

from ._tls import is_final


class Layer:
    """The TLS of one connection.

    Attributes:
        outgoing: What is to be written.
        is_whole: Whether what was read ends with the end of a record.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self.outgoing, server_hostname=host)
        self.is_whole, self._header, self._due = True, b"", 0
        self._may_refuse = False
        """Whether the server may still have to refuse our certificate, before it reads a request:
        in TLS 1.3, it does so after our part of the handshake."""

    def handshake(self, data: bytes | None = None) -> bool:
        """Take what was read, `b""` at its end; return whether the handshake needs more.

        Raises:
            TransportError: The handshake failed.
        """
        try:
            if data:
                self._take(data)
            elif data is not None:
                self._incoming.write_eof()
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLError as error:
            may_pass, detail = not is_final(error), str(error)
        else:
            is_modern = self._object.version() == "TLSv1.3"
            self._may_refuse = is_modern and not self._object.context.post_handshake_auth
            if self._object.selected_alpn_protocol() in (None, "http/1.1"):
                return False
            may_pass, detail = False, "ssl_context must offer no protocol but http/1.1"
        raise TransportError("cannot connect", detail=detail, sent=False, passing=may_pass)

    def _take(self, data: bytes) -> None:
        """Take what was read. OpenSSL does not say whether it waits for the rest of a record."""
        self._incoming.write(data)
        data, at = self._header + data, self._due
        while at + 5 <= len(data):  # five bytes before each record end with its length
            at += 5 + int.from_bytes(data[at + 3 : at + 5], "big")
        self.is_whole = at == len(data)
        self._header, self._due = data[at:], max(at - len(data), 0)

    def encrypted(self, data: bytes) -> bytes:
        """Encrypt data, and return the TLS records to write."""
        self._object.write(data)
        return self.outgoing.read()

    def decrypted(self, data: bytes) -> tuple[bytes, bool | TransportError]:
        """Take what was read, `b""` at its end; return what it means, and whether it is the end.

        The end may come without TLS's own message for it, which many servers do not send. In place
        of an end, an error says that the rest cannot be decrypted, or that the server refused our
        certificate.
        """
        if data:
            self._take(data)
        parts: list[bytes] = []
        end: bool | TransportError = True
        try:
            while part := self._object.read(65536):
                parts.append(part)
                self._may_refuse = False
        except ssl.SSLWantReadError:
            end = not data
        except ssl.SSLError as error:
            # A server whose handshake has ended sends session tickets before anything else.
            session = self._object.session
            has_ticket = session is not None and session.has_ticket
            is_refusal = self._may_refuse and not has_ticket and is_final(error)
            problem = "cannot connect" if is_refusal else "the connection was lost while waiting"
            end = TransportError(
                problem, detail=str(error), sent=not is_refusal, passing=not is_refusal
            )
        return b"".join(parts), end
