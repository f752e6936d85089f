"""Names of classes: text whatever the file holds, and one class for each name."""

from collections.abc import Sequence
from typing import NamedTuple

from xai_detect.data.problems import Problems
from xai_detect.values.names import name_text


class Classes(NamedTuple):
    """The classes of a data set.

    Attributes:
        names: In label order, each once.
        ids: The format's own id of each; of one that is listed several times, the first.
        labels: Label by position in the list as it was given.
    """

    names: tuple[str, ...]
    ids: tuple[int | str, ...]
    labels: tuple[int, ...]


def classes(listed: Sequence[tuple[int | str, object]], source: str, problems: Problems) -> Classes:
    """Classes from what a file lists; a name that stands there twice is one class, and told.

    Args:
        listed: Id and name of each, as the file holds them.
        source: What to call the file.
        problems: Takes a sentence for each name that is empty or repeated.
    """
    names: list[str] = []
    ids: list[int | str] = []
    labels = []
    for class_id, raw in listed:
        name = name_text(raw)
        if not name:
            name = f"class {class_id}"
            problems.note(f"class {class_id} of {source}", f" has no name; it is called {name!r}",
                         " have no name and are called by their number")  # fmt: skip
        if name in names:
            problems.note(
                f"the class {name!r} of {source}",
                f" is listed again, as {class_id}; both are read as one class",
                " are listed more than once; each is read as one class",
            )
        else:
            names.append(name)
            ids.append(class_id)
        labels.append(names.index(name))
    return Classes(tuple(names), tuple(ids), tuple(labels))
