"""The reference results: collected from a finished rung, compared with a new one, and restored.

With `reference: FOLDER` in the config nothing is measured: `restore_reference` stands in for every
rule that measures.
"""

from snakemake.output_index import OutputIndex

# What only reads tidy files runs in one of these environments; rules of the others measure.
READING = ["scaling.yaml", "paper.yaml"]


def measures(rule):
    """Whether a rule writes what only a measurement can: see READING. Targets have no environment."""
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
        for rule in producers.match_producers(file):
            if measures(rule):
                measured.add(file)
            else:
                made.add(file)
                waiting.extend(rule.expand_input(rule.get_wildcards(file))[0])
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
        return {path: entry["kind"] for path, entry in entries.items()}
    except (AttributeError, OSError, ValueError, KeyError, TypeError):
        raise WorkflowError(
            f"config: reference: {REFERENCE}/manifest.json is missing or broken; restore it from "
            "version control, or collect one: the target reference of a config without a reference"
        )


if config["reference"]:
    KINDS = files_of_the_reference()

    rule restore_reference:
        """The tidy files of the reference, verified, where measurements would have written them."""
        input:
            manifest=f"{REFERENCE}/manifest.json",
            files=[f"{REFERENCE}/{path}" for path in KINDS],
            code=code("reference.restore"),
        output:
            [f"{RESULTS}/{path}" for path, kind in KINDS.items() if kind == "tidy"],
        log:
            f"logs/restore_reference/{NAME}.log",
        benchmark:
            f"{RESULTS}/benchmarks/restore_reference.tsv"
        conda:
            "../../envs/scaling.yaml"
        params:
            reference=REFERENCE,
            results=RESULTS,
            rung=RUNG,
        shell:
            "python -m recscale.reference.restore --reference {params.reference}"
            " --rung {params.rung} --out {params.results} > {log} 2>&1"

    # Snakemake's own --allowed-rules would not do: an input that is named as another rule's output is
    # made by that rule, allowed or not. Where nothing else makes it, a tidy file that the reference
    # lacks stops the workflow by its name.
    left = {r.name: r for r in workflow.rules if not measures(r)}
    workflow._rules = left
    for reading in left.values():
        reading.dependencies = {f: by for f, by in reading.dependencies.items() if by in left}

else:

    rule reference:
        """Collect the reference of a finished rung, for version control."""
        input:
            tidy=tidy_files,
            made=made_files,
            code=code("reference.collect"),
        # The reference is no output: Snakemake would delete it with a failed job, and collect it
        # anew for everything that reads it.
        log:
            f"logs/reference/{NAME}.log",
        conda:
            "../../envs/scaling.yaml"
        params:
            folder=REFERENCE,
            results=RESULTS,
            artefacts=PAPER,
            name=NAME,
            rung=RUNG,
        shell:
            "python -m recscale.reference.collect --results {params.results}"
            " --artefacts {params.artefacts} --name {params.name} --rung {params.rung}"
            " --tidy {input.tidy} --made {input.made} --reference {params.folder} > {log} 2>&1"


rule golden:
    """Compare these results, cell by cell, with the reference of the rung; fails beyond tolerance."""
    input:
        rules.all.input,
        code=code("reference.compare"),
    # No output: it is asked anew each time, and its table outlives a failure.
    log:
        f"logs/golden/{NAME}.log",
    conda:
        "../../envs/scaling.yaml"
    params:
        reference=REFERENCE,
        results=RESULTS,
        artefacts=PAPER,
        table=f"{RESULTS}/golden.csv",
    shell:
        "python -m recscale.reference.compare --reference {params.reference}"
        " --results {params.results} --artefacts {params.artefacts} --out {params.table}"
        " 2>&1 | tee {log}"
