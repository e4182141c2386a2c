"""Section 6.1: base models, and continual pre-training (CPT) of each run."""


rule base_model:
    """A model that knows general language: trained here, or a published checkpoint."""
    input:
        windows=base_windows,
        tokenizer=tokenizer_of(IDS),
        code=code("pretraining.base"),
    output:
        manifest=f"{RESULTS}/pretraining/base/{{size}}.json",
        training=f"{RESULTS}/pretraining/base/{{size}}-training.parquet",
    log:
        f"logs/base_model/{NAME}-{{size}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/base_model-{{size}}.tsv"
    conda:
        "../../envs/pretraining.yaml"
    threads: PRETRAINING["threads"]
    params:
        windows=lambda wildcards, input: (
            f"--windows {input.windows[0]} --held-out {input.windows[2]}" if input.windows else ""
        ),
        folder=f"{RESULTS}/pretraining/base/{{size}}",
        settings=base_settings,
    shell:
        "python -m recscale.pretraining.base --size {wildcards.size} {params.windows}"
        " --tokenizer $(dirname {input.tokenizer[0]}) --checkpoints {params.folder}-checkpoints"
        " --folder {params.folder} --manifest {output.manifest} --training {output.training}"
        " --settings {params.settings:q} > {log} 2>&1"


rule cpt:
    """One CPT run: its held-out curves, its training log and its ledger of tokens.

    Its checkpoints and its final model are no outputs: Snakemake would delete them with a failed
    job, and an interrupted run goes on from them.
    """
    input:
        base=lambda wildcards: rules.base_model.output.manifest.format(
            size=EXPERIMENTS["runs"][wildcards.run]["size"]
        ),
        training=windows_of_run,
        held_out=lambda wildcards: held_out_windows_of(ids_of_run(wildcards.run), ALL_HELD_OUT),
        item_ids=lambda wildcards: f"{RESULTS}/item_ids/{ids_of_run(wildcards.run)}.parquet",
        tokenizer=lambda wildcards: tokenizer_of(ids_of_run(wildcards.run)),
        trunk=lambda wildcards: trunk_of(wildcards.run),
        code=code("pretraining.cpt"),
    output:
        curves=f"{RESULTS}/pretraining/{{run}}/curves.parquet",
        training=f"{RESULTS}/pretraining/{{run}}/training.parquet",
        manifest=f"{RESULTS}/pretraining/{{run}}/manifest.json",
    log:
        f"logs/cpt/{NAME}-{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/cpt-{{run}}.tsv"
    conda:
        "../../envs/pretraining.yaml"
    threads: PRETRAINING["threads"]
    resources:
        **HOW_TO_START,
    params:
        folder=f"{RESULTS}/pretraining/{{run}}",
        trunk=lambda wildcards, input: f"--trunk {input.trunk}" if input.trunk else "",
        settings=run_settings,
    shell:
        "{resources.start} -m recscale.pretraining.cpt --run-name {wildcards.run} --base {input.base}"
        " --windows $(dirname {input.training[0]}) --held-out $(dirname {input.held_out[0]})"
        " --item-ids {input.item_ids} --tokenizer $(dirname {input.tokenizer[0]}) {params.trunk}"
        " --checkpoints {params.folder}/checkpoints --folder {params.folder}/model"
        " --curves {output.curves} --training {output.training}"
        " --manifest {output.manifest} --settings {params.settings:q} >> {log} 2>&1"


rule training_plan:
    """What a machine without this workflow needs to train a size: see recscale.pretraining.plan."""
    input:
        read=what_runs_of_size_read,
        code=code("pretraining.plan"),
    output:
        f"{RESULTS}/pretraining/plans/{{size}}.json",
    log:
        f"logs/training_plan/{NAME}-{{size}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/training_plan-{{size}}.tsv"
    conda:
        "../../envs/pretraining.yaml"
    params:
        settings=plan_settings,
    shell:
        "python -m recscale.pretraining.plan --plan {output} --settings {params.settings:q}"
        " > {log} 2>&1"


rule training_plans:
    """The plans of the four sizes, and the windows they name."""
    input:
        expand(rules.training_plan.output[0], size=SIZES),
