"""The reference results: collected from a finished rung, compared with a new one, and restored.

With `reference: FOLDER` in the config nothing is measured: `restore_reference` stands in for every
rule that measures.
"""

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
            reference=lambda wildcards, input: str(Path(input.manifest).parent),
            results=lambda wildcards: RESULTS,
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
            pictures=rules.verdicts_controls.output.svg,
            code=code("reference.collect"),
        # The reference is no output: Snakemake would delete it with a failed job, and collect it
        # anew for everything that reads it.
        log:
            f"logs/reference/{NAME}.log",
        conda:
            "../../envs/scaling.yaml"
        params:
            folder=REFERENCE,
            results=lambda wildcards: RESULTS,
            artefacts=lambda wildcards: PAPER,
            name=NAME,
            rung=RUNG,
        shell:
            "python -m recscale.reference.collect --results {params.results}"
            " --artefacts {params.artefacts} --name {params.name} --rung {params.rung}"
            " --tidy {input.tidy} --made {input.made} --pictures {input.pictures}"
            " --reference {params.folder} > {log} 2>&1"


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
        results=lambda wildcards: RESULTS,
        artefacts=lambda wildcards: PAPER,
        table=f"{RESULTS}/golden.csv",
    shell:
        "python -m recscale.reference.compare --reference {params.reference}"
        " --results {params.results} --artefacts {params.artefacts} --out {params.table}"
        " 2>&1 | tee {log}"
