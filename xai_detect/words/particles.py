"""Korean particles, whose form depends on how the word before them ends.

Templates write both forms, such as ``(이)라고`` or ``을(를)``. After a Hangul syllable the right
one stays; after anything else both do, because its pronunciation is not known.
"""

import re

_AFTER = r"(?P<end>[가-힣])(?P<quote>'?)"
_OPTIONAL = re.compile(_AFTER + r"\((?P<vowel>이|으)\)")
_PAIR = re.compile(_AFTER + r"(?P<closed>을|과|은|이)\((?P<open>를|와|는|가)\)")

_RIEUL = 8
"""The final consonant after which ``로`` takes no ``으``."""


def particles(text: str) -> str:
    """The text with every particle after a Hangul syllable in its right form."""
    return _PAIR.sub(_paired, _OPTIONAL.sub(_optional, text))


def _optional(found: re.Match[str]) -> str:
    final = _final(found["end"])
    needed = final != 0 and not (found["vowel"] == "으" and final == _RIEUL)
    return found["end"] + found["quote"] + (found["vowel"] if needed else "")


def _paired(found: re.Match[str]) -> str:
    return found["end"] + found["quote"] + found["closed" if _final(found["end"]) else "open"]


def _final(syllable: str) -> int:
    """Number of a syllable's final consonant; 0 if it ends in a vowel."""
    return (ord(syllable) - ord("가")) % 28
