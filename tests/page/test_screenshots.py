"""The pictures in the docs can be taken again."""

import struct

from playwright.sync_api import Browser

from tests.tools import screenshots


def test_pictures_are_taken(browser: Browser) -> None:
    """Each picture has the size of its view, and is small enough for a page of the docs."""
    taken = screenshots.pictures(browser)
    assert {path.name for path in screenshots.FOLDER.glob("*.png")} == set(taken)
    for name, picture in taken.items():
        view = screenshots.VIEWS[name]["viewport"]
        assert struct.unpack(">II", picture[16:24]) == (view["width"], view["height"])
        assert len(picture) < 200_000
