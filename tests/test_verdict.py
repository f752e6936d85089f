"""Verdicts on numbers made by hand: each check can fail, and nothing measured is never trusted."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xai_detect.errors import InputError
from xai_detect.trust.policy import DEFAULT_POLICY, read_policy
from xai_detect.trust.verdict import MAP_CHECKS, READ, judge
from xai_detect.values.findings import Evidence, Level

GOOD = {
    "score": 0.87, "inside": 0.74, "ring": 0.255, "outside": 0.005, "chance_inside": 0.06,
    "lift": 12.3, "percentile": 0.98, "without_box": 0.12, "context_only": 0.02, "box_only": 0.85,
    "without_outside": 0.86, "without_elsewhere": 0.87, "necessity": 0.86, "sufficiency": 0.98,
    "outside_effect": 0.01, "rival": 0.01, "rival_label": 1.0, "rival_box_only": 0.02,
    "rival_box_label": 1.0, "margin": 6.5, "margin_box_only": 6.0, "margin_without_outside": 6.4,
    "completeness_error": 0.02,
    "repeatability": 0.9, "input_level": 1.0, "trust": 0.8,
}  # fmt: skip
WORDS = {"name": "knife", "rival_name": "gun", "rival_box_name": "gun"}


def verdict(**changes):
    return judge(Evidence({**GOOD, **changes}, WORDS))


def test_a_supported_detection_is_trusted_and_says_why():
    found = verdict()
    assert found.level is Level.TRUSTED
    assert found.sentence.startswith(
        "74 % of the evidence lies in the box (a random box of this size: 6 %). "
        "Removing it drops 'knife' from 0.87 to 0.12."
    )


def test_nothing_measured_is_never_trusted():
    found = judge(Evidence({}))
    assert found.level is Level.UNCERTAIN
    assert set(found.unmeasured) == set(READ)


@pytest.mark.parametrize("name", READ)
def test_any_unmeasured_number_prevents_trust(name):
    found = verdict(**{name: math.nan})
    assert found.level is not Level.TRUSTED
    assert name in found.unmeasured


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"input_level": 0.0}, "map_kind"),
        ({"input_level": math.nan}, "map_kind"),
        ({"inside": math.nan, "ring": math.nan, "outside": math.nan}, "map_empty"),
        ({"completeness_error": 0.5}, "map_completeness"),
        ({"completeness_error": math.nan}, "map_completeness"),
        ({"repeatability": 0.1}, "map_repeatability"),
    ],
)
def test_a_map_that_fails_a_check_is_uncertain_whatever_else_is_true(changes, check):
    found = verdict(**changes)
    assert found.level is Level.UNCERTAIN
    assert found.reasons[0].check == check
    assert check in MAP_CHECKS


def test_methods_without_completeness_are_not_asked_for_it():
    values = {name: value for name, value in GOOD.items() if name != "completeness_error"}
    assert judge(Evidence(values, WORDS)).level is Level.TRUSTED


OUTSIDE = {"inside": 0.3, "ring": 0.1, "outside": 0.6}


@pytest.mark.parametrize(
    ("changes", "check"),
    [
        ({"context_only": 0.8}, "context"),
        ({"outside_effect": 0.9, "without_outside": 0.05, "sufficiency": 0.1}, "outside_effect"),
        ({"margin_without_outside": 0.3, "without_outside": 0.5}, "class_lost"),
        (
            {"box_only": 0.02, "sufficiency": 0.02, "rival_box_only": 0.9, "margin_box_only": -6.0},
            "class_undecided",
        ),
        (
            {"box_only": 0.5, "sufficiency": 0.57, "rival_box_only": 0.45, "margin_box_only": 0.2},
            "class_undecided",
        ),
    ],
)
def test_outside_by_map_and_by_test_is_untrusted(changes, check):
    found = verdict(**OUTSIDE, **changes)
    assert found.level is Level.UNTRUSTED
    assert check in [reason.check for reason in found.reasons]
    inside_map = verdict(**changes)
    assert inside_map.level is Level.UNCERTAIN, "map and test disagree"


@pytest.mark.parametrize(
    "changes",
    [
        {"percentile": 0.3},
        {"inside": 0.1, "ring": 0.1, "lift": 1.1},
        {"box_only": 0.1, "sufficiency": 0.1, "rival_box_only": 0.0, "margin_box_only": 5.0},
        {"without_box": 0.8, "necessity": 0.08},
    ],
)
def test_one_witness_alone_is_uncertain(changes):
    assert verdict(**changes).level is Level.UNCERTAIN


@pytest.mark.parametrize(("left", "check"), [(0.8, "unconfirmed"), (0.1, "fragile")])
def test_a_box_that_does_not_carry_itself_is_told_apart_from_a_fragile_one(left, check):
    alone = {"box_only": 0.1, "sufficiency": 0.1, "rival_box_only": 0.0, "margin_box_only": 5.0}
    found = verdict(**alone, without_outside=left, without_elsewhere=left, outside_effect=0.0)
    assert found.reasons[-1].check == check


def test_a_claim_the_detector_does_not_make_is_untrusted():
    found = verdict(score=0.01, rival=0.9)
    assert found.level is Level.UNTRUSTED
    assert "'knife' only 0.01" in found.sentence
    assert "'gun' (0.90)" in found.sentence


@given(
    st.dictionaries(
        st.sampled_from(sorted(GOOD)), st.one_of(st.floats(0, 1), st.just(math.nan)), max_size=12
    )
)
def test_every_verdict_has_a_reason_and_finite_words(changes):
    found = judge(Evidence({**GOOD, **changes}, WORDS))
    assert found.reasons
    assert all(reason.sentence.endswith(".") for reason in found.reasons)


def test_a_policy_is_data(tmp_path):
    path = tmp_path / "strict.toml"
    path.write_text('[limits]\nsufficiency = 0.99\n[sentences]\nshare = "{inside:.0%} inside."\n')
    strict = read_policy(path)
    assert strict.limits["necessity"] == DEFAULT_POLICY.limits["necessity"]
    found = judge(Evidence(GOOD, WORDS), strict)
    assert found.level is Level.UNCERTAIN
    assert found.sentence.startswith("74 % inside.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[limits]\nsuficiency = 0.5\n", "did you mean 'sufficiency'"),
        ("[limits]\nnear = 'half'\n", "not a number"),
        ("[sentences]\nshare = 3\n", "not text"),
        ("limits = 3\n", "must hold a table"),
        ("[limits", "is not TOML"),
    ],
)
def test_a_wrong_policy_is_explained(tmp_path, content, message):
    path = tmp_path / "policy.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_policy(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_policy(tmp_path / "missing.toml")


@pytest.mark.parametrize("lead", [-0.4, -3.0, 0.0])
def test_without_a_lead_nothing_of_it_can_be_lost(lead):
    """Another class leads in the box, and removing parts of the image leaves that as it was."""
    same = {"margin": lead, "margin_box_only": lead, "margin_without_outside": lead}
    raised = {**same, "without_outside": 0.45, "without_elsewhere": 0.32, "outside_effect": -0.4}
    for changes in (same, {**raised, "score": 0.32, "box_only": 0.3}):
        found = verdict(**OUTSIDE, **changes)
        assert found.level is not Level.UNTRUSTED, found.sentence


def test_a_lead_that_the_box_alone_turns_round_is_still_seen():
    found = verdict(**OUTSIDE, margin=0.5, margin_box_only=-0.5, margin_without_outside=0.5)
    assert found.level is Level.UNTRUSTED
    assert [reason.check for reason in found.reasons][-1] == "class_undecided"


RISING = (
    "inside", "lift", "percentile", "necessity", "sufficiency", "margin_box_only",
    "margin_without_outside",
)  # fmt: skip
FALLING = ("outside", "context_only", "outside_effect")
"""What speaks for a detection; whether the map may be heard at all is another question."""
ORDER = (Level.UNTRUSTED, Level.UNCERTAIN, Level.TRUSTED)


@given(
    changes=st.fixed_dictionaries(
        {name: st.floats(0, 1) for name in sorted(GOOD) if name not in ("lift", "margin")}
    ),
    lift=st.floats(0, 5),
    margin=st.floats(-4, 4),
    name=st.sampled_from(RISING + FALLING),
    gain=st.floats(0, 3),
)
def test_improving_one_witness_never_lowers_a_level(changes, lift, margin, name, gain):
    values = {**changes, "lift": lift, "margin": margin, "input_level": 1.0}
    better = {**values, name: values[name] + (gain if name in RISING else -gain)}
    before, after = (judge(Evidence(one, WORDS)).level for one in (values, better))
    assert ORDER.index(after) >= ORDER.index(before)


def test_one_number_alone_can_be_judged():
    found = judge(Evidence({"score": 0.05}))
    assert found.level is Level.UNTRUSTED
    assert found.reasons[0].check == "claim"
    assert "nan" not in found.sentence
    assert found.sentence == "The detector gives 'the class' only 0.05 in this box."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[sentences]\nshare = '{insde:.0%} inside.'\n", "asks for {insde} .*mean 'inside'"),
        ("[sentences]\nbox_only = '{score:.2q}'\n", "cannot be filled in, .sentences. box_only"),
        ("[sentences]\nbox_only = '{score'\n", "cannot be filled in, .sentences. box_only"),
        ("[sentences]\nbox_only = '{} here'\n", "cannot be filled in, .sentences. box_only"),
        ("[limits]\nnecessity = nan\n", "necessity to nan; expected a number"),
        ("[limits]\nnecessity = inf\n", "necessity to inf; expected a number"),
    ],
)
def test_a_policy_that_could_not_be_used_is_refused_when_it_is_read(tmp_path, content, message):
    path = tmp_path / "policy.toml"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        read_policy(path)


def test_a_policy_made_by_hand_is_checked_as_one_that_is_read():
    good = DEFAULT_POLICY
    with pytest.raises(InputError, match=r"claim to nan; expected a number"):
        replace(good, limits={**good.limits, "claim": math.nan})
    with pytest.raises(InputError, match=r"asks for {insde} .*mean 'inside'"):
        replace(good, sentences={**good.sentences, "share": "{insde:.0%} inside."})
