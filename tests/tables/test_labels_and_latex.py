"""Names a reader sees, rounded numbers, and LaTeX that compiles whatever the text holds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recscale import latex
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError
from recscale.labels import DOMAIN_NAMES, short_number, size_label, training_domain
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
    columns = [training_domain(domain) for domain in HELD_OUT_DOMAINS]
    assert columns == ["general", "item_text", "cf", "cf", "cf", "uih", "uih"]
    assert set(HELD_OUT_DOMAINS) <= set(DOMAIN_NAMES)
    with pytest.raises(UserError, match="cfx"):
        training_domain("cfx")


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
