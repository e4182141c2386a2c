"""Fits, Tables 4 and 6 and Figure 8 come from curves alone: their commands run without torch."""

import json
from pathlib import Path

import pytest

import joint_inputs
import tidy_inputs
from tidy_inputs import PUBLISHED, SIZES

RUNG = ("--rung", "mini", "--out-prefix")
FITS = json.dumps({"burn_in": tidy_inputs.BURN_IN, "pool": "token_weighted"})

PROGRAM = """
import runpy, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
module, *sys.argv[1:] = sys.argv[1:]
runpy.run_module(module, run_name="__main__", alter_sys=True)
print("finished without torch:", "torch" not in sys.modules)
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Curves, manifests, fits and a tokenizer of the runs that these artefacts read."""
    folder = tmp_path_factory.mktemp("no_torch")
    for size in SIZES:
        tidy_inputs.fits(folder, size)
        tidy_inputs.run_manifest(folder, size)
    for kind in ("full", *tidy_inputs.RATIOS):
        tidy_inputs.curves(folder, "size3", kind)
        tidy_inputs.run_manifest(folder, "size3", kind)
    joint_inputs.full_runs(folder / "joint")
    joint_inputs.tokenizer(folder)
    return folder


def arguments(module: str, made: Path, out: Path) -> list[object]:
    """The command line of a rule."""
    if module == "scaling.fit":
        curves = tidy_inputs.curves_path(made, "size3-full")
        return ["--curves", curves, "--out", out.with_suffix(".csv"), "--settings", FITS]
    if module == "tables.table4":
        fits = [tidy_inputs.curves_path(made, f"{s}-full").with_name("fits.csv") for s in SIZES]
        published = PUBLISHED / "table4_scaling_laws.csv"
        return ["--fits", *fits, "--published", published, *RUNG, out]
    if module == "tables.table6":
        return tidy_inputs.table_arguments("table6", made, out)
    runs = [made / "joint" / f"{size}-full" for size in SIZES]
    return [
        *("--curves", *(run / "curves.parquet" for run in runs)),
        *("--manifests", *(run / "manifest.json" for run in runs)),
        *("--tokenizer", made / "tokenizer.json"),
        *("--settings", json.dumps(joint_inputs.SETTINGS), *RUNG, out),
    ]


@pytest.mark.parametrize(
    "module", ["scaling.fit", "tables.table4", "tables.table6", "figures.fig8"]
)
def test_the_command_runs_where_torch_cannot_be_imported(module, made, tmp_path) -> None:
    out = tmp_path / "out"
    done = tidy_inputs.python("-c", PROGRAM, f"recscale.{module}", *arguments(module, made, out))
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("finished without torch: True\n")
    assert out.with_suffix(".csv").stat().st_size > 0


def test_the_block_would_be_noticed() -> None:
    done = tidy_inputs.python("-c", PROGRAM, "recscale.pretraining.cpt", "--help")
    assert done.returncode != 0 and "torch is blocked" in done.stderr
