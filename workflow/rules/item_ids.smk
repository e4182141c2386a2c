"""Appendix B: from item text to semantic ids, fitted on training items only."""


rule embeddings:
    """Vectors of the items' texts."""
    input:
        item_table=rules.data.output.item_table,
        code=code("item_ids.embeddings"),
    output:
        f"{RESULTS}/item_ids/embeddings.npy",
    log:
        f"logs/embeddings/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/embeddings.tsv"
    conda:
        "../../envs/item_ids.yaml"
    params:
        settings=settings(config["item_ids"]["embedding"], seed=SEED),
    shell:
        "python -m recscale.item_ids.embeddings --items {input.item_table} --embeddings {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule sae:
    """Semantic ids by a sparse auto-encoder: the latents an item activates, strongest first."""
    input:
        item_table=rules.data.output.item_table,
        embeddings=rules.embeddings.output[0],
        code=code("item_ids.sae"),
    output:
        f"{RESULTS}/item_ids/sae.parquet",
    log:
        f"logs/sae/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/sae.tsv"
    conda:
        "../../envs/item_ids.yaml"
    params:
        settings=settings(config["item_ids"]["sae"], seed=SEED),
    shell:
        "python -m recscale.item_ids.sae --items {input.item_table} --embeddings {input.embeddings}"
        " --item-ids {output} --settings {params.settings:q} > {log} 2>&1"


# The ids the curriculum is written in, and how many REC tokens they need.
ITEM_IDS = f"{RESULTS}/item_ids/{config['item_ids']['method']}.parquet"
REC_TOKENS = config["item_ids"]["sae"]["latents"]
