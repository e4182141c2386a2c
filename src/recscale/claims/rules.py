"""The paper's claims with the rules that decide them: paper/claims.yaml and its published
numbers."""

from __future__ import annotations

import datetime
import string
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from recscale import files
from recscale.errors import UserError

RULE_KEYS = ("reproduced", "contradicted", "inconclusive", "not_measurable")
CLAIM_KEYS = (
    "where",
    "claim",
    "published",
    "quantity",
    "limits",
    "rule",
    "artefact",
    "needs",
    "history",
)
HISTORY_KEYS = {"until", "rule", "limits", "reason"}


@dataclass(frozen=True)
class Claim:
    """One claim of the paper and its decision rule.

    Attributes:
        id: its id in claims.csv.
        where: section, figure or table of the paper.
        claim: what it says.
        published: the paper's number, as text, from claims.csv.
        quantity: what is computed to decide it.
        limits: the numbers of the rule by name.
        rule: the condition of each verdict, with the limits filled in.
        artefact: the target that shows it.
        needs: runs of config/experiments.yaml, or stages.
        history: earlier forms of the rule, each with the day it was dropped and the reason.
    """

    id: str
    where: str
    claim: str
    published: str
    quantity: str
    limits: Mapping[str, Any]
    rule: Mapping[str, str]
    artefact: str
    needs: tuple[str, ...]
    history: tuple[Mapping[str, Any], ...]


class _UniqueKeys(yaml.SafeLoader):
    """A loader that refuses a key given twice; plain YAML would keep the second in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As the base class, after a check of the keys."""
        keys = [key.value for key, _ in node.value]
        twice = sorted({key for key in keys if keys.count(key) > 1})
        if twice:
            raise UserError(
                f"{node.start_mark.name} has the key {twice[0]!r} twice", "keep one of the two"
            )
        return super().construct_mapping(node, deep)


def load_claims(rules: Path, published: Path) -> list[Claim]:
    """The claims in the order of claims.csv.

    Args:
        rules: paper/claims.yaml.
        published: paper/published/claims.csv, with columns id, where, claim, quantity, published.

    Raises:
        UserError: a file is missing or broken, a claim has no rule, a rule has no claim, or a rule
            lacks a part or names a limit that it does not have.
    """
    numbers = files.read_csv(published, dtype=str, keep_default_na=False)
    written = _read(rules)
    for identifier in numbers["id"]:
        if identifier not in written:
            raise UserError(
                f"{published} has the claim {identifier!r}, for which {rules} has no rule",
                "write the rule before the run that it judges",
            )
    for identifier in written:
        if identifier not in set(numbers["id"]):
            raise UserError(
                f"{rules} has a rule for {identifier!r}, which is no claim of {published}",
                "correct the id, or add the claim with its published number",
            )
    return [
        _claim(row["id"], row["published"], written[row["id"]], rules)
        for row in numbers.to_dict("records")
    ]


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path} is missing", "restore it from version control")
    try:
        with open(path, encoding="utf-8") as file:
            content = yaml.load(file, Loader=_UniqueKeys)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not YAML ({reason})", "correct it") from None
    if not isinstance(content, dict) or set(content) != {"committed", "claims"}:
        raise UserError(f"{path} has other keys than committed and claims", "keep these two")
    if not isinstance(content["committed"], datetime.date):
        raise UserError(f"{path}: committed is no date", "write it as 2026-01-31")
    if not isinstance(content["claims"], dict):
        raise UserError(f"{path}: claims is no mapping", "give each claim under its id")
    return content["claims"]


def _claim(identifier: str, published: str, entry: Any, path: Path) -> Claim:
    where = f"{path}: {identifier}"
    _same_keys(entry, set(CLAIM_KEYS), where)
    _same_keys(entry["rule"], set(RULE_KEYS), f"{where}.rule")
    limits = entry["limits"]
    for past in entry["history"]:
        _same_keys(past, HISTORY_KEYS, f"{where}.history")
    return Claim(
        id=identifier,
        where=str(entry["where"]),
        claim=entry["claim"],
        published=published,
        quantity=_fill(entry["quantity"], limits, f"{where}.quantity"),
        limits=limits,
        rule={key: _fill(entry["rule"][key], limits, f"{where}.rule.{key}") for key in RULE_KEYS},
        artefact=entry["artefact"],
        needs=tuple(entry["needs"]),
        history=tuple(entry["history"]),
    )


def _same_keys(entry: Any, wanted: set[str], where: str) -> None:
    if not isinstance(entry, dict):
        raise UserError(f"{where} is {entry!r}", "it must be a mapping")
    missing = sorted(wanted - set(entry))
    if missing:
        raise UserError(f"{where} lacks {missing[0]!r}", "every part of a rule is needed")
    unknown = sorted(set(entry) - wanted)
    if unknown:
        raise UserError(f"{where} has the unknown key {unknown[0]!r}", "remove or correct it")


def _fill(text: str, limits: Mapping[str, Any], where: str) -> str:
    names = {name for _, name, _, _ in string.Formatter().parse(text) if name}
    unknown = sorted(names - set(limits))
    if unknown:
        raise UserError(
            f"{where} names the limit {unknown[0]!r}, which its limits lack", "add the number"
        )
    shown = {k: ", ".join(map(str, v)) if isinstance(v, list) else v for k, v in limits.items()}
    return text.format(**shown)
