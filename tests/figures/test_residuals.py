"""The figure of residuals: what it draws, and what it refuses."""

import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

import tidy_inputs
from recscale import files
from recscale.contracts import HELD_OUT_DOMAINS
from recscale.errors import UserError
from recscale.figures import residuals, style
from recscale.scaling import fit
from tidy_inputs import SIZES

CHOSEN = {"burn_in": tidy_inputs.BURN_IN, "pool": "token_weighted"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fits and residuals of two sizes; UIH rises again in the larger one."""
    folder = tmp_path_factory.mktemp("residuals")
    with pytest.MonkeyPatch.context() as patch:
        for size in SIZES[:2]:
            path = tidy_inputs.curves(folder, size)
            curves = files.read_table(path, "curves")
            rises = curves["domain"].str.startswith("uih") & (size == "size2")
            above = np.log(np.maximum(curves["tokens"] / (0.3 * tidy_inputs.TOTAL), 1))
            wave = 0.002 * np.sin(3 * np.log(np.maximum(curves["tokens"], 1)))
            files.write_table(
                curves.assign(loss=curves["loss"] + wave + 0.5 * rises * above), path, "curves"
            )
            tidy_inputs.run_manifest(folder, size)
            outputs = ["--out", folder / f"{size}.csv", "--residuals", folder / f"{size}.parquet"]
            flags = ["--curves", path, *outputs, "--settings", json.dumps(CHOSEN)]
            patch.setattr("sys.argv", ["fit", *map(str, flags)])
            fit.main()
    return folder


def arguments(made: Path, prefix: Path) -> list[object]:
    return [
        *("--residuals", *(made / f"{size}.parquet" for size in SIZES[:2])),
        *("--fits", *(made / f"{size}.csv" for size in SIZES[:2])),
        *("--manifests", *(made / f"{size}-full.json" for size in SIZES[:2])),
        *("--rung", "mini", "--out-prefix", prefix),
    ]


def test_the_csv_holds_what_the_fit_left(made, tmp_path, call) -> None:
    call(residuals.main, *arguments(made, tmp_path / "residuals"))
    table = pd.read_csv(tmp_path / "residuals.csv")
    evaluations = len(tidy_inputs.TOKENS) - 1  # step 0 has no place in a law
    assert len(table) == 2 * len(HELD_OUT_DOMAINS) * evaluations
    fitted = table.dropna(subset=["residual"])
    np.testing.assert_allclose(fitted["residual"], fitted["loss"] - fitted["fitted"], atol=1e-12)
    for (_, _), rows in fitted[fitted["used"]].groupby(["size", "domain"]):
        e = rows["residual"].to_numpy()
        assert np.sqrt(np.mean(e**2)) == pytest.approx(rows["rmse"].iloc[0])
        watson = np.sum(np.diff(e) ** 2) / np.sum(e**2)
        assert watson == pytest.approx(rows["durbin_watson"].iloc[0])
        assert len(rows) == rows["n_points"].iloc[0]
    assert (fitted["durbin_watson"] < 1.5).any()  # the planted wave
    rising = table[(table["size"] == "size2") & (table["domain"] == "uih_ood")]
    assert set(rising["status"]) == {"not_monotone"} and rising["residual"].isna().all()


def test_the_figure_is_written_alike_twice_and_fits_a_page(made, tmp_path, call) -> None:
    for folder in ("a", "b"):
        call(residuals.main, *arguments(made, tmp_path / folder / "residuals"))
    for ending in ("pdf", "svg", "csv", "tex"):
        first, second = (tmp_path / f / f"residuals.{ending}" for f in ("a", "b"))
        assert first.read_bytes() == second.read_bytes()
    pdf = (tmp_path / "a" / "residuals.pdf").read_bytes()
    width, height = re.search(rb"/MediaBox \[ 0 0 ([\d.]+) ([\d.]+)", pdf).groups()
    assert float(width) / 72 <= style.DOUBLE_COLUMN + 0.01 and float(height) / 72 < 9
    tex = (tmp_path / "a" / "residuals.tex").read_text()
    assert tex.count("{") == tex.count("}") and "nan" not in tex and "rung mini" in tex
    assert "not monotone" in tex and "mnat per token" in tex


def test_panels_say_rmse_and_durbin_watson_and_leave_burn_in_hollow(
    made, tmp_path, monkeypatch, call
) -> None:
    drawn = []
    monkeypatch.setattr(style, "save", lambda figure, artefact: drawn.append(figure))
    call(residuals.main, *arguments(made, tmp_path / "residuals"))
    (figure,) = drawn
    panels = figure.axes
    assert len(panels) == 7 * 2
    table = pd.read_csv(tmp_path / "residuals.csv")
    first = table[(table["size"] == "size1") & (table["domain"] == "general")]
    rmse, watson = first["rmse"].iloc[0], first["durbin_watson"].iloc[0]
    assert panels[0].get_title() == f"rmse {1000 * rmse:.1f}, DW {watson:.2f}"
    (line,) = [line for line in panels[0].lines if len(line.get_xdata()) > 2]
    used = first[first["used"]]
    np.testing.assert_allclose(line.get_ydata(), 1000 * used["residual"])
    # The losses before the burn-in lie far above the law: arrows, inside the panel.
    heights = np.concatenate([c.get_offsets()[:, 1] for c in panels[0].collections])
    assert len(heights) == len(first)
    assert np.abs(heights).max() < panels[0].get_ylim()[1]
    hollow = [c for c in panels[0].collections if np.allclose(c.get_facecolor()[0, :3], 1)]
    early = first[~first["used"]]
    assert sum(len(c.get_offsets()) for c in hollow) <= len(early)
    assert panels[0].get_ylim() == panels[1].get_ylim()
    titles = [panel.get_title() for panel in panels]
    assert titles.count("no law") == 2  # both UIH sets of the larger size
    plt.close(figure)


def test_files_that_do_not_belong_together_are_refused(made, tmp_path, call) -> None:
    flags = arguments(made, tmp_path / "t")
    without = [flag for flag in flags if flag != made / "size2.csv"]
    with pytest.raises(UserError, match="--fits lack general of run size2-full"):
        call(residuals.main, *without)
    with pytest.raises(UserError, match="more than one fit of general of run size1-full"):
        call(residuals.main, *flags[:4], made / "size1.csv", *flags[4:])
    table = files.read_table(made / "size1.parquet", "residuals")
    files.write_table(table[table["domain"] != "uih_ood"], tmp_path / "few.parquet", "residuals")
    few = [tmp_path / "few.parquet" if f == made / "size1.parquet" else f for f in flags]
    with pytest.raises(UserError, match="--residuals lack uih_ood of run size1-full"):
        call(residuals.main, *few)
    other = table.assign(run="size1-real")
    files.write_table(other, tmp_path / "other.parquet", "residuals")
    with pytest.raises(UserError, match="--residuals hold several runs of size1"):
        call(residuals.main, *flags[:1], tmp_path / "other.parquet", *flags[1:])
    assert not list(tmp_path.glob("t.*"))
