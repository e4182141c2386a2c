"""Which files only measurements write: what the reference holds.

There are no rules here.
"""

from snakemake.output_index import OutputIndex

# What only reads tidy files runs in one of these environments; rules of the others measure.
READING = ["scaling.yaml", "paper.yaml"]


def measures(rule):
    """Whether what a rule writes is measured, not made of tidy files. Targets have no environment."""
    return rule.conda_env is not None and Path(rule.conda_env).name not in READING


@cache
def files_behind(*targets):
    """What is measured for some files, and what is made of it: two sets of files."""
    producers = OutputIndex(workflow.rules)
    waiting, measured, made = list(targets), set(), set()
    while waiting:
        file = str(waiting.pop())
        if file in measured or file in made:
            continue
        for producer in producers.match_producers(file):
            if measures(producer):
                measured.add(file)
            else:
                made.add(file)
                waiting.extend(producer.expand_input(producer.get_wildcards(file))[0])
    return measured, made


def tidy_files(wildcards):
    """Everything measured that fits, verdicts, tables, figures and papers read."""
    return sorted(files_behind(*rules.all_controls.input)[0])


def made_files(wildcards):
    """The numbers that tables and figures show, and the ledger with the controls."""
    made = files_behind(*rules.all_controls.input)[1]
    shown = [file for file in made if file.startswith(f"{PAPER}/") and file.endswith(".csv")]
    return sorted([*shown, *rules.claims_controls.output])


def files_of_the_reference():
    """The kind of each file that the reference's manifest names: tidy, or made of tidy files."""
    try:
        entries = json.loads(Path(REFERENCE, "manifest.json").read_text())["files"]
        kinds = {path: entry["kind"] for path, entry in entries.items()}
    except (AttributeError, OSError, ValueError, KeyError, TypeError):
        raise WorkflowError(
            f"config: reference: {REFERENCE}/manifest.json is missing or broken; restore it from "
            "version control, or collect one: the target reference of a config without a reference"
        )
    missing = [path for path in kinds if not Path(REFERENCE, path).is_file()]
    if missing:
        raise WorkflowError(
            f"config: reference: {REFERENCE}/{missing[0]} is missing; restore it from version control"
        )
    return kinds
