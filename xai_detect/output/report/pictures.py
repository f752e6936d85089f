"""The pictures of a report: inside the page while they are few, beside it where they are many."""

import base64
from pathlib import Path
from urllib.parse import quote

from xai_detect.errors import InputError
from xai_detect.output.folder.load import inside

INSIDE = 50
"""Up to so many images a page holds its pictures itself and can be sent on as one file."""

_TYPES = {".webp": "image/webp", ".svg": "image/svg+xml", ".png": "image/png"}


def data_uri(content: bytes, suffix: str) -> str:
    """A picture inside a page."""
    return f"data:{_TYPES[suffix]};base64,{base64.b64encode(content).decode('ascii')}"


class Album:
    """Where a page finds its pictures.

    Attributes:
        embeds: Whether they are inside the page.
    """

    def __init__(self, folder: Path, images: int) -> None:
        self.embeds = images <= INSIDE
        self._folder = folder

    def place(self, name: str) -> str:
        """The address of a picture of the run; empty if it was lost.

        Args:
            name: Its path in the folder, with forward slashes.
        """
        try:
            path = inside(self._folder, name)
            if not path.is_file():
                return ""
            return data_uri(path.read_bytes(), path.suffix) if self.embeds else quote(name)
        except (InputError, OSError):
            return ""
