"""What the rules share: the checked config, the code a command depends on, and names of files.

There are no rules here.
"""

import ast
import json
import subprocess
from datetime import date
from functools import cache
from pathlib import Path

import jsonschema
import yaml
from snakemake.exceptions import WorkflowError

ROOT = (
    Path(workflow.basedir).parent
    if Path(workflow.basedir).name == "workflow"
    else Path(workflow.basedir)
)


def check(values, schema, where):
    """Stop with one line that names the key if `values` breaks the schema."""
    validator = jsonschema.Draft202012Validator(yaml.safe_load((ROOT / schema).read_text()))
    errors = sorted(validator.iter_errors(values), key=lambda error: list(map(str, error.path)))
    if errors:
        error = errors[0]
        key = ".".join(map(str, error.path)) or "the top level"
        raise WorkflowError(f"{where}: {key}: {error.message}; see {schema} and config/README.md")


def check_dates_and_shares(values):
    """Stop with one line if single values are right but do not fit each other."""
    days = {}
    for key in ["train_until", "valid_until"]:
        try:
            days[key] = date.fromisoformat(values["data"][key])
        except ValueError as error:
            raise WorkflowError(f"config: data.{key}: {values['data'][key]!r}: {error}")
    if days["train_until"] >= days["valid_until"]:
        raise WorkflowError("config: data.train_until: it must come before data.valid_until")
    general, walks = values["curriculum"]["general"], values["curriculum"]["walks"]
    if general["base_share"] + general["held_out_share"] >= 1:
        raise WorkflowError("config: curriculum.general: base_share and held_out_share reach 1")
    data = values["data"]
    if (data["source"] == "world") != (data["world"] is not None):
        raise WorkflowError("config: data.world: give it for data.source world, and only then")
    for block, where in [(data, "data"), (general, "curriculum.general")]:
        if block["download"] and not block["folder"]:
            raise WorkflowError(f"config: {where}.folder: name the folder to download into")
    unknown = set(values["ranking"]["control_models"]) - set(values["ranking"]["models"])
    if unknown:
        raise WorkflowError(f"config: ranking.control_models: {min(unknown)} is not in models")
    if walks["min_items"] > walks["max_items"]:
        raise WorkflowError("config: curriculum.walks: min_items is above max_items")


# What a run of config/experiments.yaml is where it does not say.
RUN_DEFAULTS = {
    "item_ids": "configured",
    "uih": "full",
    "order": "mixed",
    "schedule": "cosine",
    "horizon": 1.0,
    "trunk": None,
    "seed": 0,
    "control": False,
}


def check_experiments(experiments):
    """Fill in each run's defaults, and stop if runs, mixtures and artefacts do not fit."""
    where = "config/experiments.yaml"
    for name, mixture in experiments["mixtures"].items():
        if abs(sum(mixture.values()) - 1) > 1e-9:
            raise WorkflowError(
                f"{where}: mixtures.{name} sums to {sum(mixture.values())}, not to 1"
            )
    runs = {name: {**RUN_DEFAULTS, **run} for name, run in experiments["runs"].items()}
    experiments["runs"] = runs
    for name, run in runs.items():
        if run["mixture"] not in experiments["mixtures"]:
            raise WorkflowError(f"{where}: runs.{name}.mixture {run['mixture']!r} is no mixture")
        if not name.startswith(run["size"] + "-"):
            raise WorkflowError(f"{where}: runs.{name} is of size {run['size']}; name it so")
        if run["trunk"] is not None:
            trunk = runs.get(run["trunk"])
            may_differ = ["trunk", "horizon"]
            if trunk is None or trunk["trunk"] or but(trunk, *may_differ) != but(run, *may_differ):
                raise WorkflowError(
                    f"{where}: runs.{name}.trunk {run['trunk']!r} is no run that differs in its "
                    "horizon alone"
                )
            if run["schedule"] != "wsd" or not run["horizon"] < trunk["horizon"]:
                raise WorkflowError(
                    f"{where}: runs.{name}: a run with a trunk has the schedule wsd and a shorter "
                    "horizon"
                )
    for figure, names in experiments["figures"].items():
        for run in names:
            if run not in runs:
                raise WorkflowError(f"{where}: figures.{figure} names the unknown run {run!r}")


@cache
def source_files(module):
    """The files of a module: its own and those of the packages it is in; fewer if it is a name in one."""
    path, found = ROOT / "src", []
    for part in module.split("."):
        path = path / part
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if file.is_file():
            found.append(file)
    return found


@cache
def imports(file):
    """What a source file imports of this project, by module and by name."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return [name for name in found if name.split(".")[0] == "recscale"]


def code(module):
    """An input function: the source files that `python -m recscale.<module>` imports from src/.

    As inputs of a rule they make an edit rerun just what it can change. Snakemake compares small
    files by content, so a touched file reruns nothing. They are looked for where a job is asked
    for, which saves the start of each single job on a cluster half a second.
    """
    return lambda wildcards: code_files(module)


@cache
def code_files(module):
    """The source files of a command, itself included."""
    found = set()
    waiting = [f"recscale.{module}"]
    while waiting:
        for file in source_files(waiting.pop()):
            if file not in found:
                found.add(file)
                waiting.extend(imports(file))
    return sorted(str(file.relative_to(ROOT)) for file in found)


def settings(*blocks, **more):
    """The JSON a command takes as --settings: some blocks of the config and single values."""
    return json.dumps({key: value for block in [*blocks, more] for key, value in block.items()})


def of(block, *keys):
    """Some keys of a block of the config: what one command needs of it."""
    return {key: block[key] for key in keys}


def but(block, *keys):
    """A block of the config without some keys."""
    return {key: value for key, value in block.items() if key not in keys}


def runs_of(artefact):
    """The CPT runs that an artefact draws."""
    return EXPERIMENTS["figures"][artefact]


@cache
def commit():
    """The last commit that changed what artefacts are made of, with a + where files differ from it.

    It is true of every artefact in a paper, as all of them are up to date with the code when the
    paper is compiled. Empty outside version control. Use it in a param that is a function of
    `output`: Snakemake does not compare these, so that a commit by itself reruns nothing.
    """
    made_of = ["src", "workflow", "config", "envs", "paper", "Snakefile"]

    def git(*words):
        asked = ["git", "-C", str(ROOT), *words, "--", *made_of]
        return subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()

    try:
        last = git("log", "-1", "--format=%h", "--abbrev=10")
        return f"{last}+" if last and git("status", "--porcelain") else last
    except (OSError, subprocess.CalledProcessError):
        return ""


check(config, "workflow/schemas/config.schema.yaml", "config")
check_dates_and_shares(config)
EXPERIMENTS = yaml.safe_load((ROOT / "config/experiments.yaml").read_text())
check(EXPERIMENTS, "workflow/schemas/experiments.schema.yaml", "config/experiments.yaml")
check_experiments(EXPERIMENTS)

NAME = config["name"]
RUNG = config["rung"]
SEED = config["seed"]
RESULTS = f"results/{NAME}"
PAPER = f"paper/{NAME}"
# Where committed results of this name are, or are to be.
REFERENCE = config["reference"] or f"results/reference/{NAME}"

TRAINING_DOMAINS = ["general", "item_text", "cf", "uih"]
HELD_OUT_DOMAINS = [
    "general",
    "item_text",
    "cf_both_seen",
    "cf_one_unseen",
    "cf_both_unseen",
    "uih_ood",
    "uih_full_graph",
]
ALL_HELD_OUT = [*HELD_OUT_DOMAINS, "real_histories"]

# Big thresholds keep glibc from giving the logits' memory back to the system at every step.
shell.prefix(
    "export PYTHONPATH=src OMP_WAIT_POLICY=PASSIVE TOKENIZERS_PARALLELISM=true "
    "MALLOC_MMAP_THRESHOLD_=1073741824 MALLOC_TRIM_THRESHOLD_=1073741824 "
    "MALLOC_TOP_PAD_=268435456; "
)
