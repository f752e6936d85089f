"""The picture of ``parchgrad.py``: eight simulated detections, their truth and three maps each."""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import matplotlib as mpl
import numpy as np
import parchgrad_sets as sets
from numpy.typing import NDArray
from parchgrad_sets import Question
from parchgrad_variants import Variant, evidence
from torch import Tensor

import xai_detect as xd

SIDE = 224
HEAD = 22
ROWS = ("scan", "plain", "ParchGrad", "control: random channels")
SMOOTH = 0.015
"""Standard deviation of the blur that makes single pixels visible, as a share of the side."""


@dataclass(frozen=True, slots=True, eq=False)
class Column:
    """A detection and its maps: evidence in image pixels, not rescaled."""

    title: str
    question: Question
    maps: list[Tensor]


def drawn(chosen: Variant) -> list[Column]:
    """Eight simulated detections with the plain map, the chosen one, and its control."""
    variants = (Variant(chosen.under), chosen, replace(chosen, control="random"))
    columns = []
    for name, count in (*((world, 1) for world in sets.PLANTED), ("screening", 2)):
        detector, statistics, questions = sets.questions(name, "fresh", count, argparse.Namespace())
        for question in questions:
            maps = [
                evidence(
                    xd.explain(
                        variant.method(statistics), detector, question.image, [question.target]
                    )[0].heatmap,
                    variant,
                )
                for variant in variants
            ]
            title = f"{name}: {question.target.name}"
            columns.append(Column(title, question, maps))
    return columns


def draw(columns: list[Column], path: Path) -> None:
    """Write the picture; each map is drawn as a share of its own largest value."""
    shown = [
        np.vstack([_titled(column.title, scan_tile(column)), *(
            _titled(name, heat_tile(column, heatmap))
            for name, heatmap in zip(ROWS[1:], column.maps, strict=True)
        )])
        for column in columns
    ]  # fmt: skip
    cv2.imwrite(str(path), np.hstack(shown)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])


def scan_tile(column: Column) -> NDArray[np.uint8]:
    """The scan with its box in blue and the outline of the truth in red."""
    tile = _resized(_bytes(column.question.image))
    x1, y1, x2, y2 = (round(v) for v in np.array(column.question.target.box) * _scale(column))
    cv2.rectangle(tile, (x1, y1), (x2, y2), (30, 60, 220), 1)
    return _outlined(tile, column)


def heat_tile(column: Column, heatmap: Tensor) -> NDArray[np.uint8]:
    """A map over the pale scan."""
    values = _resized(heatmap.numpy())
    values = cv2.GaussianBlur(values, (0, 0), SMOOTH * SIDE)
    strength = values / max(float(values.max()), 1e-12)
    colours = mpl.colormaps["inferno_r"](strength)[..., :3] * 255
    pale = 255 - (255 - _resized(_bytes(column.question.image)).astype(float)) * 0.35
    cover = np.sqrt(strength)[..., None]
    return _outlined((pale * (1 - cover) + colours * cover).astype(np.uint8), column)


def _outlined(tile: NDArray[np.uint8], column: Column) -> NDArray[np.uint8]:
    mask = _resized(column.question.truth.numpy().astype(np.uint8) * 255)
    lines, _ = cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_EXTERNAL, 1)
    return cv2.drawContours(np.ascontiguousarray(tile), lines, -1, (220, 20, 40), 1)


def _titled(title: str, tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    head = np.full((HEAD, SIDE, 3), 255, np.uint8)
    cv2.putText(head, title, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.pad(np.vstack([head, tile]), ((0, 2), (0, 2), (0, 0)), constant_values=255)


def _scale(column: Column) -> float:
    return SIDE / column.question.image.shape[2]


def _bytes(image: Tensor) -> NDArray[np.uint8]:
    return (image.permute(1, 2, 0) * 255).round().byte().numpy()


def _resized(picture: NDArray) -> NDArray:
    return cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
