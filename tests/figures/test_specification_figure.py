"""The figure of specification curves: what it counts, and what it refuses."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recscale.errors import UserError
from recscale.figures import specification, style


def made(quantities: tuple[str, ...] = ("onset_5", "alpha_uih_minus_cf")) -> pd.DataFrame:
    rows = []
    for quantity in quantities:
        for place, burn_in in enumerate((0.05, 0.1, 0.2, 0.3)):
            left_out = burn_in == 0.3
            estimate = np.nan if left_out else float((3, 1, 2)[place])
            rows.append(
                {
                    **{"claim": "alpha_hierarchy", "quantity": quantity, "burn_in": burn_in},
                    **{"range": "whole", "spacing": "all", "objective": "squares"},
                    **{"law": "plain", "tokens": "seen", "pool": "equal", "estimate": estimate},
                    **{"low": estimate - 0.5, "high": np.nan if place else estimate + 1},
                    **{"sign": "above", "threshold": 1.5, "upper": np.nan, "status": "identified"},
                    **{"identified": 1.0, "default": place == 0},
                    "verdict": np.nan if left_out else ("agrees", "contradicts", "open")[place],
                    "on_side": np.nan if left_out else estimate > 1.5,
                    "left_out": "too few evaluations remain" if left_out else np.nan,
                }
            )
    return pd.DataFrame(rows)


def arguments(table: pd.DataFrame, folder: Path) -> list[object]:
    folder.mkdir(exist_ok=True)
    table.to_csv(folder / "in.csv", index=False)
    prefix = folder / "specification"
    return ["--specifications", folder / "in.csv", "--rung", "mini", "--out-prefix", prefix]


def test_the_csv_orders_and_the_table_counts(tmp_path, call) -> None:
    call(specification.main, *arguments(made(), tmp_path))
    table = pd.read_csv(tmp_path / "specification.csv")
    kept = table.dropna(subset=["order"]).sort_values(["quantity", "order"])
    assert len(table) == 8 and len(kept) == 6
    for _, rows in kept.groupby("quantity"):
        assert rows["estimate"].tolist() == [1.0, 2.0, 3.0]
    text = (tmp_path / "specification.tex").read_text()
    assert text.count(r"2 of 3 & 1 & 1 & 1 & 1 \\") == 2
    assert "3.0 & 1.0 & 2.0 & 3.0" in text  # the onset: ledger's, least, median, largest


def test_the_figure_is_written_alike_twice_and_fits_a_page(tmp_path, call) -> None:
    names = tuple(specification.NAMES)
    for folder in ("a", "b"):
        call(specification.main, *arguments(made(names), tmp_path / folder))
    for ending in ("pdf", "svg", "csv", "tex"):
        first, second = (tmp_path / f / f"specification.{ending}" for f in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()
    pdf = (tmp_path / "a" / "specification.pdf").read_bytes()
    width, height = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+)", pdf).groups()
    assert float(width) / 72 <= style.DOUBLE_COLUMN + 0.01 and float(height) / 72 < 9.3


def test_bad_input_is_named() -> None:
    table = made()
    with pytest.raises(UserError, match="have no estimate of onset_5"):
        specification.ordered(table.assign(estimate=np.nan))
    with pytest.raises(UserError, match="have 0 defaults of onset_5"):
        specification.ordered(table.assign(default=False))
