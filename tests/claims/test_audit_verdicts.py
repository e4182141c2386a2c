"""Verdicts on fidelity, privacy and bias, from rows of the audits."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from recscale.claims.ledger import decide
from recscale.claims.verdict import Evidence, Verdict

NONE = (np.nan, np.nan)


def rows(audit, *found):
    """Rows of an audit: measure, group, value, (low, high), n."""
    columns = ["audit", "measure", "group", "value", "low", "high", "n"]
    return pd.DataFrame([(audit, m, g, v, *ends, n) for m, g, v, ends, n in found], columns=columns)


def fidelity(popularity=(1.1, 1.3), length=(1.2, 1.6), half=500, strict=None):
    found = [("half_users", "real log", half, NONE, 2 * half)]
    for measure, ends in (("popularity_js", popularity), ("length_js", length)):
        middle = sum(ends) / 2
        found.append((f"{measure}_ratio", "walks", middle, ends, 900))
        ends = strict or (ends[0] - 0.05, ends[1] + 0.05)
        found.append((f"{measure}_ratio_corrected", "walks", middle, ends, 900))
    return rows("fidelity", *found)


def privacy(users=5, copied=(-0.01, 0.01), auc=(0.49, 0.53), kept_out=400, plain=(0.5, 0.52)):
    return rows(
        "privacy",
        ("fewest_users", "training rules", users, NONE, 1000),
        ("kept_out_users", "real log", kept_out, NONE, 800),
        ("copied_5_difference", "walks", sum(copied) / 2, copied, 800),
        ("copied_5_difference", "real stretches", 0.5, (0.4, 0.6), 800),
        ("membership_auc", "walks", sum(auc) / 2, auc, 600),
        ("membership_auc_plain", "walks", sum(plain) / 2, plain, 600),
        ("membership_auc", "real stretches", 0.9, (0.85, 0.95), 600),
    )


def bias(position=(0.02, 0.08), popularity=(0.01, 0.09), seeds=3, widen=0.02):
    found = []
    for name, ends in (("position", position), ("popularity", popularity)):
        for strength, ends_of in ((0.5, (0.9, 1.1)), (1, ends)):
            middle = sum(ends_of) / 2
            group = f"world:{name}={strength:g}"
            found.append(("bias_kept", group, middle, ends_of, seeds))
            wide = (ends_of[0] - widen, ends_of[1] + widen)
            found.append(("bias_kept_corrected", group, middle, wide, seeds))
    return rows("bias", *found)


@pytest.fixture
def verdict(claims):
    return lambda name, table: decide(claims[name], Evidence("planted", audits=table))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Verdict.REPRODUCED),
        ({"length": (2.2, 2.6)}, Verdict.CONTRADICTED),
        ({"length": (2.01, 2.4)}, Verdict.INCONCLUSIVE),  # corrected it holds 2
        ({"popularity": (1.8, 2.2)}, Verdict.INCONCLUSIVE),
        ({"half": 99}, Verdict.NOT_MEASURABLE),
    ],
)
def test_fidelity(verdict, changed, expected):
    assert verdict("fidelity", fidelity(**changed)).verdict is expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Verdict.REPRODUCED),
        ({"auc": (0.56, 0.58)}, Verdict.CONTRADICTED),
        ({"auc": (0.551, 0.6)}, Verdict.INCONCLUSIVE),  # corrected it holds 0.55
        ({"auc": (0.5, 0.56)}, Verdict.INCONCLUSIVE),
        ({"copied": (0.02, 0.04)}, Verdict.CONTRADICTED),
        ({"copied": (0.0001, 0.04)}, Verdict.INCONCLUSIVE),
        ({"users": 4}, Verdict.INCONCLUSIVE),
        ({"kept_out": 99}, Verdict.NOT_MEASURABLE),
    ],
)
def test_privacy(verdict, changed, expected):
    outcome = verdict("privacy", privacy(**changed))
    assert outcome.verdict is expected, outcome
    assert "without calibration 0.51 [" in outcome.measured


@pytest.mark.parametrize(("plain", "named"), [((0.52, 0.54), True), ((0.54, 0.56), False)])
def test_a_verdict_that_hangs_on_the_stronger_attack_says_so(verdict, plain, named):
    outcome = verdict("privacy", privacy(auc=(0.56, 0.58), plain=plain))
    assert outcome.verdict is Verdict.CONTRADICTED
    assert ("the stronger attack decides" in outcome.reason) == named


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Verdict.REPRODUCED),
        ({"position": (0.3, 0.5)}, Verdict.CONTRADICTED),
        ({"position": (0.11, 0.3)}, Verdict.INCONCLUSIVE),  # corrected it holds 0.1
        ({"popularity": NONE}, Verdict.INCONCLUSIVE),
        ({"position": (0.3, 0.5), "seeds": 2}, Verdict.INCONCLUSIVE),
    ],
)
def test_bias(verdict, changed, expected):
    # The strongest bias decides: at half the strength walks keep all of it.
    outcome = verdict("walks_remove_bias", bias(**changed))
    assert outcome.verdict is expected, outcome


def test_a_real_log_alone_does_not_know_the_truth(verdict):
    table = rows("bias", ("top_share", "real log", 0.4, (0.3, 0.5), 900))
    assert verdict("walks_remove_bias", table).verdict is Verdict.NOT_MEASURABLE


@pytest.mark.parametrize("name", ["fidelity", "privacy", "walks_remove_bias"])
def test_no_audit_is_not_measured(verdict, name):
    assert verdict(name, None).verdict is Verdict.NOT_MEASURED
    other = privacy() if name != "privacy" else fidelity()
    assert verdict(name, other).verdict is Verdict.NOT_MEASURED


def test_a_measure_that_the_audit_could_not_take_is_not_measured(verdict):
    table = privacy()
    outcome = verdict("privacy", table[table["measure"] != "membership_auc"])
    assert outcome.verdict is Verdict.NOT_MEASURED and "membership_auc" in outcome.reason
