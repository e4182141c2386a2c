"""Names a reader sees, rounded numbers, and LaTeX that compiles whatever the text holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recscale import latex
from recscale.contracts import ALL_HELD_OUT
from recscale.errors import UserError
from recscale.labels import (
    DOMAIN_NAMES,
    KIND_NAMES,
    parse_run,
    short_number,
    size_label,
    training_domain,
)
from recscale.latex import count, fixed, interval


@pytest.mark.parametrize(
    ("value", "text"),
    [
        *((0, "0"), (732, "732"), (999, "999"), (1000, "1K"), (48_200, "48.2K")),
        *((1_500_000, "1.5M"), (999_999, "1M"), (163_840_000_000, "164B")),
    ],
)
def test_short_number(value, text) -> None:
    assert short_number(value) == text


@given(st.integers(1, 10**12))
def test_short_number_is_near_and_short(value) -> None:
    text = short_number(value)
    factor = {"K": 1e3, "M": 1e6, "B": 1e9}.get(text[-1], 1)
    number = float(text.rstrip("KMB")) * factor
    assert abs(number - value) <= 0.005 * value
    assert len(text) <= 5 or value >= 10**12 - 1


def test_size_labels() -> None:
    assert size_label("size3", "b200") == "4B"
    assert size_label("size3", "mini") == "size3 (4B's role)"
    assert size_label("size3", "mini", {"size3": 145_000}) == "size3 (4B's role), 145K parameters"
    with pytest.raises(UserError, match="size5"):
        size_label("size5", "mini")


def test_every_held_out_domain_has_a_name_and_a_column() -> None:
    columns = [training_domain(domain) for domain in ALL_HELD_OUT]
    assert columns == ["general", "item_text", "cf", "cf", "cf", "uih", "uih", "uih"]
    assert set(ALL_HELD_OUT) <= set(DOMAIN_NAMES)
    with pytest.raises(UserError, match="cfx"):
        training_domain("cfx")


@pytest.mark.parametrize(
    ("run", "size", "kind", "seed", "label"),
    [
        ("size3-full", "size3", "full", 0, "Item-Text + CF + UIH"),
        ("size1-cf_uih-seed2", "size1", "cf_uih", 2, "CF + UIH"),
        ("size3-uih_0.5", "size3", "uih_0.5", 0, "0.5 % UIH"),
        ("size4-uih_15-seed1", "size4", "uih_15", 1, "15 % UIH"),
        ("size3-uih_matched", "size3", "uih_matched", 0, "UIH only, repeats of CF + UIH"),
        ("size2-wsd_0.5", "size2", "wsd_0.5", 0, "wsd_0.5"),
    ],
)
def test_names_of_runs_are_taken_apart(run, size, kind, seed, label) -> None:
    found = parse_run(run)
    assert (found.size, found.kind, found.seed, found.label) == (size, kind, seed, label)
    with pytest.raises(UserError, match="'size5-full' is no name of a run"):
        parse_run("size5-full")


def test_kinds_have_names_of_their_own() -> None:
    assert len(set(KIND_NAMES.values())) == len(KIND_NAMES)


@given(st.text())
def test_escape_leaves_no_bare_special_character(text) -> None:
    escaped = latex.escape(text)
    for word in (r"\textbackslash{}", r"\textasciitilde{}", r"\textasciicircum{}"):
        escaped = escaped.replace(word, "")
    escaped = escaped.replace(r"\textless{}", "").replace(r"\textgreater{}", "")
    for character in "&%$#_{}":
        escaped = escaped.replace("\\" + character, "")
        assert character not in escaped
    assert "\\" not in escaped


def test_numbers_in_cells() -> None:
    nan = float("nan")
    assert fixed(0.125, 2) == "0.12" and fixed(-0.5, 1) == "-0.5" and fixed(nan, 3) == "--"
    assert count(1234567.0) == "1,234,567" and count(nan) == "--"
    assert interval(nan, 0.95, 2) == "[--, 0.95]"
