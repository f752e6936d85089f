"""What every image of a run has in common, and whether two runs are one."""

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import xai_detect
from xai_detect.values.detections import Provenance
from xai_detect.values.files import file_sha256
from xai_detect.values.images import SUFFIXES
from xai_detect.values.json import (
    Json,
    as_id,
    as_list,
    as_mapping,
    as_number,
    as_numbers,
    as_text,
    damaged,
    number,
    plain,
)

TRUTH = "references_truth"
"""Under this name the data set that says what references hold stands among a run's options."""


@dataclass(frozen=True, slots=True, eq=False)
class Header:
    """What every image of a run has in common; two runs with different headers never mix.

    Attributes:
        provenance: The detector.
        class_names: Its classes, in label order.
        method: Name of the method whose map was asked for besides the two of every detection;
            empty if none was.
        settings: That method's hyper-parameters.
        confidence: Detections under this score were left out; NaN if unknown.
        asked: The class that was asked about in every box; None for each box's own class.
        limits: The policy's limits that verdicts were held against.
        budget: How much could be spent on each detection; empty if unknown.
        references: Names of the other images whose surroundings detections were asked about in.
        lang: The language of verdicts' sentences, as HTML names it.
        options: Anything else that changes a number, by name.
        files: Digest of every file or folder that a setting names, by the setting.
        version: Of this package.
        category_ids: The data set's id of each class, in label order; empty without a data set.
            They name the classes and change no number, so runs may differ in them.
    """

    provenance: Provenance
    class_names: tuple[str, ...]
    method: str
    settings: Mapping[str, object]
    confidence: float = math.nan
    asked: str | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    budget: str = ""
    references: tuple[str, ...] = ()
    lang: str = "en"
    options: Mapping[str, object] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    version: str = xai_detect.__version__
    category_ids: tuple[int | str, ...] = ()


def with_files(header: Header) -> Header:
    """The header with the digests of the files that its settings name, as they lie there now."""
    digests = {name: _digest(value) for name, value in header.settings.items()}
    return replace(header, files={name: digest for name, digest in digests.items() if digest})


def _digest(setting: object) -> str:
    """Digest of the files behind a setting, which may list several; empty if it names none."""
    if not isinstance(setting, str):
        return ""
    try:
        found = [digest for item in setting.split(",") for digest in _digests(Path(item.strip()))]
    except OSError:  # a text that cannot be the name of a file
        return ""
    return hashlib.sha256("".join(found).encode()).hexdigest() if len(found) > 1 else "".join(found)


def _digests(path: Path) -> Iterator[str]:
    if path.is_file():
        yield file_sha256(path)
    elif path.name and path.is_dir():
        yield from (
            file_sha256(file) for file in sorted(path.iterdir()) if file.suffix.lower() in SUFFIXES
        )


def completed(header: Header, other: Header) -> Header:
    """A header of images without detections takes from another what only detections tell."""
    return replace(
        header,
        method=other.method,
        settings=other.settings,
        files=other.files,
        budget=other.budget,
        asked=other.asked,
    )


def differences(before: Header, now: Header) -> list[str]:
    """In what two runs differ, one phrase each.

    Where images and annotations lie is no difference, whether there are annotations is one.
    """
    return list(_differences(_compared(before), _compared(now), ""))


def _compared(header: Header) -> dict[str, Json]:
    options = {name: value for name, value in header.options.items() if name != "images"}
    if "truth" in options:  # compared with every image anew at each start
        options["truth"] = "annotations"
    return header_to_json(replace(header, category_ids=(), options=options))


def _differences(old: Mapping[str, Json], new: Mapping[str, Json], what: str) -> Iterator[str]:
    for key in dict.fromkeys((*new, *old)):
        before, now = old.get(key), new.get(key)
        name = f"{what} {key}".strip()
        if before == now:
            continue
        if isinstance(before, dict) and isinstance(now, dict):
            yield from _differences(before, now, name)
        elif isinstance(before, list) and isinstance(now, list):
            yield f"{name}: {len(before)} there, {len(now)} other ones here"
        else:
            yield f"{name}: {before} there, {now} here"


def header_to_json(header: Header) -> dict[str, Json]:
    """The header, ready to be written or compared."""
    return {
        "version": header.version,
        "model": dataclasses.asdict(header.provenance),
        "class_names": list(header.class_names),
        "method": header.method,
        "settings": plain(header.settings),
        "files": dict(header.files),
        "confidence": number(header.confidence),
        "asked": header.asked,
        "limits": plain(header.limits),
        "budget": header.budget,
        "references": list(header.references),
        "lang": header.lang,
        "options": plain(header.options),
        "category_ids": list(header.category_ids),
    }


def header_from_json(content: object, path: Path) -> Header:
    """Read a header back.

    Raises:
        InputError: If something is missing or of another kind.
    """
    with damaged(path):
        known = as_mapping(content)
        model, asked = as_mapping(known["model"]), known["asked"]
        return Header(
            provenance=Provenance(
                **{key: as_text(model[key]) for key in Provenance.__dataclass_fields__}
            ),
            class_names=tuple(as_text(name) for name in as_list(known["class_names"])),
            method=as_text(known["method"]),
            settings=as_mapping(known["settings"]),
            confidence=as_number(known["confidence"]),
            asked=None if asked is None else as_text(asked),
            limits=as_numbers(known["limits"]),
            budget=as_text(known["budget"]),
            references=tuple(as_text(name) for name in as_list(known["references"])),
            lang=as_text(known["lang"]),
            options=as_mapping(known["options"]),
            files=_texts(known["files"]),
            version=as_text(known["version"]),
            category_ids=tuple(as_id(given) for given in as_list(known["category_ids"])),
        )


def _texts(content: object) -> dict[str, str]:
    return {name: as_text(value) for name, value in as_mapping(content).items()}
