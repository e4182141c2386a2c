"""The figures as commands: files, bytes, and the numbers and errors of Figures 1 and 2."""

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import tidy_inputs
from recscale import files
from recscale.errors import UserError
from recscale.figures import curve_panels, fig2, style
from tidy_inputs import PUBLISHED, figure_arguments

TARGETS = ("fig1", "fig2", "fig3", "fig4", "fig4_controls", "fig5", "fig6", "fig7", "fig12")


@pytest.mark.parametrize("target", TARGETS)
def test_equal_inputs_give_equal_bytes(target, mains, inputs, drawn, tmp_path, call) -> None:
    call(mains[target], *figure_arguments(target, inputs, tmp_path / target))
    names = [f"{target}.{ending}" for ending in ("csv", "pdf", "svg", "tex")]
    assert sorted(path.name for path in tmp_path.iterdir()) == names
    for name in names:
        assert (tmp_path / name).read_bytes() == (drawn / name).read_bytes()
    pdf = (tmp_path / f"{target}.pdf").read_bytes()
    assert pdf.startswith(b"%PDF") and b"/FontFile2" in pdf and b"CreationDate" not in pdf
    width = float(re.search(rb"/MediaBox \[ 0 0 ([\d.]+)", pdf).group(1)) / 72
    assert width <= style.DOUBLE_COLUMN + 0.01
    svg = (tmp_path / f"{target}.svg").read_text()
    assert "<text" not in svg and "<dc:date>" not in svg and svg.count("<path") > 20
    tex = (tmp_path / f"{target}.tex").read_text()
    assert rf"{{{target}.pdf}}" in tex and rf"\label{{fig:{target}}}" in tex
    assert tex.count("{") == tex.count("}") and tex.count(r"\begin{") == tex.count(r"\end{")
    assert "rung mini" in tex


def test_fig1_writes_the_measured_table(inputs, drawn) -> None:
    table = pd.read_csv(drawn / "fig1.csv")
    assert len(table) == 2 * 2 * 6  # treatments of the history, models, cutoffs and equivalents
    table = table[table["paper_k"].isna()]
    ranks = files.read_table(inputs / "ranks_SASRec.parquet", "ranks")
    shown = table.set_index(["history_items", "model", "k"])
    for arm in ("tstr", "trtr"):
        of_arm = ranks[ranks["arm"] == arm]
        assert shown.loc[("ranked", "SASRec", 100), arm] == (of_arm["rank"] <= 100).mean()
        assert shown.loc[("hidden", "SASRec", 10), arm] == (of_arm["rank_masked"] <= 10).mean()
    assert shown.loc[("ranked", "SASRec", 100), "published_ratio"] == 2.30
    assert table["published_ratio"].notna().sum() == 2
    tex = (drawn / "fig1.tex").read_text()
    assert re.search(r"SASRec & 100 & .* & 2\.30 \\\\", tex)
    assert r"SASRec & 1000$^\dagger$ &" in tex


def test_fig2_fits_pass_through_points_that_follow_them(drawn) -> None:
    table = pd.read_csv(drawn / "fig2.csv")
    assert len(table) == 4 * 7 * len(tidy_inputs.TOKENS)
    inside = table["tokens"] >= tidy_inputs.BURN_IN * tidy_inputs.TOTAL
    assert table["fitted_perplexity"].notna().equals(inside)
    np.testing.assert_allclose(
        table.loc[inside, "fitted_perplexity"], table.loc[inside, "perplexity"], rtol=1e-12
    )
    np.testing.assert_allclose(table["perplexity"], np.exp(table["loss"]), rtol=1e-15)
    uih = table[(table["size"] == "size3") & (table["domain"] == "uih_ood")]
    assert set(uih["published_alpha"]) == {0.564}
    tex = (drawn / "fig2.tex").read_text()
    first, last = uih.iloc[0], uih.iloc[-1]
    row = f"{first['perplexity']:.2f} & {last['perplexity']:.3f} & 0.450 & converged & 0.564"
    assert first["step"] == 0 and row in tex


def test_fig2_draws_curves_whose_fit_has_no_parameters(inputs, tmp_path, call) -> None:
    empty = dict.fromkeys(("l_inf", "a", "alpha", "d0", "first_tokens", "last_tokens", "rmse"))
    path = tidy_inputs.fits(tmp_path, "size2", status="not_monotone", **empty)
    swapped = inputs / "size2" / "fits.csv"
    arguments = figure_arguments("fig2", inputs, tmp_path / "f")
    call(fig2.main, *(path if argument == swapped else argument for argument in arguments))
    table = pd.read_csv(tmp_path / "f.csv")
    assert table.loc[table["size"] == "size2", "fitted_perplexity"].isna().all()
    assert re.search(r"size2 .* & -- & not monotone & 0\.023", (tmp_path / "f.tex").read_text())


def test_fig2_names_the_loss_that_is_no_number(inputs) -> None:
    curves = files.read_table(inputs / "size1" / "curves.parquet", "curves")
    fits = pd.read_csv(inputs / "size1" / "fits.csv")
    published = pd.read_csv(PUBLISHED / "table4_scaling_laws.csv")
    bad = (curves["domain"] == "uih_ood") & (curves["step"] == 5)
    curves.loc[bad, "loss"] = float("nan")
    with pytest.raises(UserError, match="run size1-full, domain uih_ood, step 5"):
        fig2.plotted(curves, fits, published)
    with pytest.raises(UserError, match=r"lack the domain\(s\) uih_ood"):
        fig2.plotted(curves[~(curves["domain"] == "uih_ood")], fits, published)
    fine = files.read_table(inputs / "size1" / "curves.parquet", "curves")
    with pytest.raises(UserError, match="several runs of size1"):
        fig2.plotted(pd.concat([fine, fine.assign(run="size1-other")]), fits, published)
    with pytest.raises(UserError, match="--fits lack general at size1"):
        fig2.plotted(fine, fits[fits["domain"] != "general"], published)


def test_a_truncated_file_is_named(inputs, tmp_path, call) -> None:
    whole = inputs / "size3" / "curves.parquet"
    broken = tmp_path / "curves.parquet"
    broken.write_bytes(whole.read_bytes()[:-100])
    arguments = figure_arguments("fig2", inputs, tmp_path / "f")
    with pytest.raises(UserError, match=re.escape(f"{broken} is truncated")):
        call(fig2.main, *(broken if argument == whole else argument for argument in arguments))
    assert not list(tmp_path.glob("f.*"))


def test_the_command_prints_one_line_and_imports_no_torch(inputs, tmp_path) -> None:
    files.write_table(
        files.read_table(inputs / "ranks_SASRec.parquet", "ranks").head(0),
        tmp_path / "empty.parquet",
        "ranks",
    )
    found = tidy_inputs.python(
        *("-m", "recscale.figures.fig1", "--ranks", tmp_path / "empty.parquet", "--seed", "1"),
        *("--published", PUBLISHED / "claims.csv", "--rung", "mini"),
        *("--out-prefix", tmp_path / "f"),
    )
    assert found.returncode == 2
    assert found.stderr.count("\n") == 1 and "empty.parquet has no rows" in found.stderr
    modules = ",".join(f"recscale.figures.fig{n}" for n in (1, 2, 3, 4, 5, 6, 7, 12))
    program = f"import sys,{modules};print('torch' in sys.modules)"
    assert tidy_inputs.python("-c", program).stdout == "False\n"


def luminance(colour: str) -> float:
    """Relative luminance of a hexadecimal colour, 0 (black) to 1 (WCAG 2.1)."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize(
    ("colours", "markers", "lines"),
    [
        (style.SIZE_COLOURS, style.SIZE_MARKERS, style.SIZE_LINES),
        (style.ARM_COLOURS, style.ARM_MARKERS, style.ARM_LINES),
        [dict(enumerate(looks)) for looks in zip(*curve_panels.MIXTURES.values(), strict=True)],
        [
            dict(enumerate(looks))
            for looks in (
                curve_panels.RATIO_COLOURS,
                curve_panels.RATIO_MARKERS,
                curve_panels.RATIO_LINES,
            )
        ],
    ],
)
def test_series_differ_in_lightness_marker_and_line(colours, markers, lines) -> None:
    levels = sorted((luminance(colour) + 0.05) for colour in colours.values())
    assert all(b / a > 1.5 for a, b in pairwise(levels))
    assert 1.05 / levels[-1] > 1.8  # still seen on white
    assert len(set(markers.values())) == len(set(map(str, lines.values()))) == len(colours)
