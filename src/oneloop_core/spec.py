"""Which document a generated package was made from."""

from collections.abc import Mapping

from attrs import frozen


@frozen(kw_only=True)
class Spec:
    """The document that a package was generated from, and the generator.

    Attributes:
        title: Title of the document.
        version: Version of the document, as the document states it.
        sha256: SHA-256 of the document followed by the overlays in the order in which they were
            applied, as of one file: `cat openapi.yaml overlay.yaml | sha256sum`. The `User-Agent`
            has its first 8 digits.
        sources: SHA-256 of the document and of each overlay, by their names.
        generator: Version of the generator: SHA-256 of its own files, the first 8 digits.
    """

    __module__ = "oneloop"

    title: str
    version: str
    sha256: str
    sources: Mapping[str, str]
    generator: str
