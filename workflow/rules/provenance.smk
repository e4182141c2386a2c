"""Where every file comes from: a manifest of hashes, and the jobs behind them.

`python -m recscale.provenance --name NAME --cell TARGET KEY=VALUE ... COLUMN` asks it about a cell.
"""


rule provenance:
    """Hash every file of the results and the artefacts, and say which job wrote it and from what."""
    input:
        rules.all.input,
        lineage="workflow/scripts/lineage.py",
        code=code("provenance.collect"),
    # No output: files of other targets may have come since, and a manifest has no manifest.
    log:
        f"logs/provenance/{NAME}.log",
    conda:
        "../../envs/paper.yaml"
    threads: 2
    params:
        name=NAME,
        records=".snakemake/metadata",
        folders=[RESULTS, PAPER],
        manifest=f"{RESULTS}/provenance.json",
        commit=lambda wildcards: commit(),
    shell:
        "(python {input.lineage} {params.records} | python -m recscale.provenance.collect"
        " --name {params.name} --folders {params.folders} --commit={params.commit:q}"
        " --threads {threads} --out {params.manifest}) > {log} 2>&1"


use rule provenance as provenance_controls with:
    # The same when the controls are there as well.
    input:
        rules.all_controls.input,
        lineage="workflow/scripts/lineage.py",
        code=code("provenance.collect"),
    log:
        f"logs/provenance_controls/{NAME}.log",
