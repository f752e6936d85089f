"""What everybody who brings a detector of their own says of it, checked."""

from collections.abc import Sequence

from xai_detect.errors import InputError
from xai_detect.values.fills import DOMAINS

OWN = "own"
"""The family of what is no library's."""


def checked_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Class names in label order.

    Raises:
        InputError: If there are none, or one is empty or there twice.
    """
    if isinstance(class_names, str):
        raise InputError(
            f"class_names is the text {class_names!r}; expected a list, such as [{class_names!r}]"
        )
    names = tuple(class_names)
    if not names or len(set(names)) != len(names) or not all(names):
        raise InputError(f"class_names are {names}; expected different names, none empty")
    return names


def checked_domain(domain: str) -> str:
    """The domain itself, if there is such a domain.

    Raises:
        InputError: If there is none.
    """
    if domain not in DOMAINS:
        raise InputError(f"there is no domain {domain!r}; choose from {', '.join(DOMAINS)}")
    return domain


def checked_threshold(confidence: float) -> float:
    """The threshold itself, if it lies in [0, 1].

    Raises:
        InputError: If it does not.
    """
    if not 0 <= confidence <= 1:
        raise InputError(f"confidence is {confidence}; expected a threshold in [0, 1]")
    return confidence
