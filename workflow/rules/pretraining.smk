"""Section 6.1: base models, and continual pre-training (CPT) of each run."""

PRETRAINING = config["pretraining"]
SIZES = PRETRAINING["sizes"]
# What base models and runs have in common.
TRAINING = {
    key: value
    for key, value in PRETRAINING.items()
    if key not in ["sizes", "base", "cpt", "evaluations"]
}


rule base_model:
    """A model that knows general language: trained here, or a published checkpoint."""
    input:
        windows=base_windows,
        tokenizer=rules.tokenizer.output,
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
        settings=lambda wildcards: settings(
            TRAINING, PRETRAINING["base"], seed=SEED, model=SIZES[wildcards.size]
        ),
    shell:
        "python -m recscale.pretraining.base --size {wildcards.size} {params.windows}"
        " --tokenizer $(dirname {input.tokenizer[0]}) --folder {params.folder}"
        " --manifest {output.manifest} --training {output.training}"
        " --settings {params.settings:q} > {log} 2>&1"


rule cpt:
    """One CPT run: its held-out curves, its training log and its ledger of tokens."""
    input:
        base=lambda wildcards: rules.base_model.output.manifest.format(
            size=EXPERIMENTS["runs"][wildcards.run]["size"]
        ),
        training=expand(
            f"{RESULTS}/windows/train/{{domain}}.{{kind}}",
            domain=TRAINING_DOMAINS,
            kind=["npy", "json"],
        ),
        held_out=expand(
            f"{RESULTS}/windows/held_out/{{domain}}.{{kind}}",
            domain=HELD_OUT_DOMAINS,
            kind=["npy", "json"],
        ),
        item_ids=ITEM_IDS,
        tokenizer=rules.tokenizer.output,
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
    params:
        folder=f"{RESULTS}/pretraining/{{run}}/model",
        settings=run_settings,
    shell:
        "python -m recscale.pretraining.cpt --run {wildcards.run} --base {input.base}"
        " --windows $(dirname {input.training[0]}) --held-out $(dirname {input.held_out[0]})"
        " --item-ids {input.item_ids} --tokenizer $(dirname {input.tokenizer[0]})"
        " --folder {params.folder} --curves {output.curves} --training {output.training}"
        " --manifest {output.manifest} --settings {params.settings:q} > {log} 2>&1"
