"""paper/claims.yaml: every claim has a rule, every rule a claim, and the parts fit together."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml

from recscale.claims import ledger
from recscale.claims.rules import load_claims
from recscale.claims.verdict import Evidence
from recscale.errors import UserError

PAPER = Path(__file__).parents[2] / "paper"
RULES = PAPER / "claims.yaml"
PUBLISHED = PAPER / "published" / "claims.csv"
STAGES = {"data", "item_ids", "curriculum", "ranking"}
NOT_YET_CONFIGURED = {"simulated marketplace"}


@pytest.fixture
def written():
    """The YAML as a mapping that a test may spoil."""
    return yaml.safe_load(RULES.read_text())


def load(written, tmp_path, published=PUBLISHED):
    """Load a changed copy of the rules."""
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump(written))
    return load_claims(path, published)


def test_the_committed_rules_cover_the_papers_claims(claims):
    numbers = pd.read_csv(PUBLISHED, dtype=str)
    assert list(claims) == numbers["id"].tolist()
    assert len(claims) == 34
    written = yaml.safe_load(RULES.read_text())["claims"]
    for row in numbers.itertuples():
        assert (written[row.id]["where"], written[row.id]["published"]) == (
            row.where,
            row.published,
        )


def test_limits_are_filled_into_the_texts(claims):
    assert "0.05" in claims["ranking_tstr_beats_trtr"].rule["not_measurable"]
    for claim in claims.values():
        assert "{" not in claim.quantity + "".join(claim.rule.values())


def test_rules_name_targets_and_runs_that_exist(claims):
    experiments = yaml.safe_load((PAPER.parent / "config" / "experiments.yaml").read_text())
    known = set(experiments["runs"]) | STAGES | NOT_YET_CONFIGURED
    targets = {f"table{i}" for i in range(1, 10)} | {f"fig{i}" for i in range(1, 13)}
    targets |= {"claims"}
    for claim in claims.values():
        assert set(claim.needs) <= known, claim.id
        assert claim.artefact in targets, claim.id


def test_every_claim_has_a_deciding_function_and_every_function_a_claim(claims):
    assert set(ledger.REGISTRY) == set(claims)


def test_a_claim_without_a_function_stops_by_name(claims, monkeypatch):
    monkeypatch.delitem(ledger.REGISTRY, "privacy")
    with pytest.raises(UserError, match="nothing decides the claim 'privacy'"):
        ledger.decide(claims["privacy"], Evidence("planted"))


def test_a_claim_without_a_rule_is_an_error(written, tmp_path):
    del written["claims"]["privacy"]
    with pytest.raises(UserError, match=r"has the claim 'privacy', for which .* has no rule"):
        load(written, tmp_path)


def test_a_rule_without_a_claim_is_an_error(written, tmp_path):
    written["claims"]["another"] = written["claims"]["privacy"]
    with pytest.raises(UserError, match="has a rule for 'another', which is no claim"):
        load(written, tmp_path)


def test_a_rule_without_a_part_is_an_error(written, tmp_path):
    del written["claims"]["privacy"]["rule"]["inconclusive"]
    with pytest.raises(UserError, match=r"privacy\.rule lacks 'inconclusive'"):
        load(written, tmp_path)


def test_an_unknown_part_is_an_error(written, tmp_path):
    written["claims"]["privacy"]["verdict"] = "reproduced"
    with pytest.raises(UserError, match="privacy has the unknown key 'verdict'"):
        load(written, tmp_path)


def test_a_limit_that_is_not_there_is_an_error(written, tmp_path):
    del written["claims"]["privacy"]["limits"]["auc"]
    with pytest.raises(UserError, match="names the limit 'auc', which its limits lack"):
        load(written, tmp_path)


def test_a_dropped_rule_is_kept_with_day_and_reason(written, tmp_path):
    privacy = written["claims"]["privacy"]
    old = {"until": "2026-12-01", "rule": privacy["rule"], "limits": {}, "reason": "too lax"}
    privacy["history"] = [old]
    loaded = {claim.id: claim for claim in load(written, tmp_path)}
    assert loaded["privacy"].history[0]["reason"] == "too lax"
    privacy["history"] = [{"rule": privacy["rule"]}]
    with pytest.raises(UserError, match=r"privacy\.history lacks 'limits'"):
        load(written, tmp_path)


def test_a_rule_given_twice_is_an_error(tmp_path):
    path = tmp_path / "claims.yaml"
    path.write_text("committed: 2026-11-22\nclaims:\n  privacy: {}\n  privacy: {}\n")
    with pytest.raises(UserError, match="the key 'privacy' twice"):
        load_claims(path, PUBLISHED)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "claims.yaml is missing"),
        ("claims: [", "claims.yaml is not YAML"),
        ("claims: {}", "other keys than committed and claims"),
        ("committed: soon\nclaims: {}", "committed is no date"),
        ("committed: 2026-11-22\nclaims: []", "claims is no mapping"),
    ],
)
def test_a_broken_file_is_an_error(tmp_path, text, message):
    path = tmp_path / "claims.yaml"
    if text:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        load_claims(path, PUBLISHED)
