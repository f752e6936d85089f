"""Records that show themselves in notebooks, figures and tables.

How is drawn further up and loaded when it is asked for: the one place where something here names
what lies above it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from PIL.Image import Image


def _notebook() -> Any:
    return importlib.import_module("xai_detect.output.notebook")


class Shown:
    """Something that a notebook shows with a picture, words, and numbers folded under them."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(_notebook().html(self))


class Drawn(Shown):
    """Something with a picture."""

    __slots__ = ()

    def plot(self, *args: Any, **options: Any) -> "Axes":
        """Draw on matplotlib axes; see ``xai_detect.plot`` for the options."""
        axes: Axes = _notebook().plot(self, *args, **options)
        return axes

    def to_image(self, *args: Any, **options: Any) -> "Image":
        """The same picture as a PIL image."""
        picture: Image = _notebook().to_image(self, *args, **options)
        return picture


class Tabled(Shown):
    """Something with a row per detection; the columns are those of ``evidence.parquet``."""

    __slots__ = ()

    def to_arrow(self) -> Any:
        """A ``pyarrow.Table``: a row per detection, null where unmeasured."""
        return _notebook().to_arrow(self)

    def to_frame(self) -> Any:
        """The same as a ``pandas.DataFrame``.

        Raises:
            InputError: If pandas is not installed.
        """
        return _notebook().to_frame(self)
