"""The public names: what is listed is there, and every question of the main job can be put."""

import ast
from pathlib import Path

import torch
from toy import ToyDetector, scene

import xai_detect as xd

STUB = Path(xd.__file__).with_name("__init__.pyi")


def test_every_name_that_is_listed_is_there():
    listed = ast.literal_eval(
        next(
            node.value
            for node in ast.parse(STUB.read_text()).body
            if isinstance(node, ast.Assign) and node.targets[0].id == "__all__"
        )
    )
    assert sorted(xd.__all__) == sorted(listed)
    assert all(getattr(xd, name) is not None for name in listed)


def test_the_steps_of_inspect_give_what_inspect_gives():
    detector, image = ToyDetector(), scene(("red", 1, 1), ("blue", 5, 2))
    found = xd.detect(detector, image)
    weighed = xd.weigh(detector, image, found)
    whole = xd.inspect(detector, image)
    assert tuple(xd.judge(one.evidence) for one in weighed) == whole.verdicts
    for one, made in zip(weighed, whole.explanations, strict=True):
        assert torch.equal(one.explanation.heatmap, made.heatmap)


def test_surroundings_of_other_images_are_tried():
    detector, image = ToyDetector(), scene(("red", 1, 1))
    others = [
        xd.as_reference(detector, f"{row}", scene(("green", row, 6), ("blue", 7 - row, 0)))
        for row in range(8)
    ]
    assert all(isinstance(one, xd.Reference) for one in others)
    alone, beside = (
        xd.inspect(detector, image, references=given).evidence[0] for given in ((), others)
    )
    assert alone.words["swap"] == "unmeasured"
    assert beside.words["swap"] == "object"
    assert alone["swapped"] == 0 < beside["swapped"]


def test_another_class_is_asked_about_beside_the_verdict():
    detector, image = ToyDetector(), scene(("red", 1, 1))
    plain, more = (xd.inspect(detector, image, as_class=name) for name in (None, "green"))
    assert plain.asked == (None,)
    (asked,) = more.asked
    assert isinstance(asked, xd.Asked)
    assert (asked.name, asked.supported) == ("green", False)
    assert asked.score < 0.1
    assert more.verdicts == plain.verdicts
