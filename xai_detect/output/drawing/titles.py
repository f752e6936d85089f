"""The question that each map of a detection answers, in words."""

from collections.abc import Callable

from xai_detect.values.detections import Target
from xai_detect.values.findings import Evidence, Lookalike
from xai_detect.words.catalogue import Catalogue


def plainly(name: str, _label: int, _words: Catalogue) -> str:
    """A name as it is; ``faces.drawn_name`` is for pictures that may lack its letters."""
    return name


def map_title(
    kind: str,
    target: Target,
    evidence: Evidence,
    lookalike: Lookalike | None,
    method: str,
    words: Catalogue,
    named: Callable[[str, int, Catalogue], str] = plainly,
) -> str:
    """The title of one map.

    Args:
        kind: One of ``folder.judged.KINDS``.
        target: The detection.
        evidence: What was measured for it; names the class that the second map compares with.
        lookalike: Its annotated class, if its name is wrong.
        method: Name of the method of the map, for added ones.
        words: Those of the language.
        named: How a class is named.
    """
    own = named(target.name, target.label, words)
    match kind:
        case "detected":
            return words.say("map.detected")
        case "added":
            return words.say("map.added_by", method=method)
        case "between":
            other = _other("" if lookalike is None else lookalike.name, target, words, named)
            return words.say("map.between", **{"class": own}, annotated=other)
    rival = evidence.words.get("rival", "")
    if rival not in target.class_names:
        return words.say("map.class", **{"class": own})
    return words.say("map.class_not", **{"class": own}, rival=_other(rival, target, words, named))


def _other(
    name: str, target: Target, words: Catalogue, named: Callable[[str, int, Catalogue], str]
) -> str:
    """Another class of the detector; a name that it does not have stays as it is."""
    if name not in target.class_names:
        return name
    return named(name, target.class_names.index(name), words)
