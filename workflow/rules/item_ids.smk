"""Section 4.2.1 and appendix B: from item text to semantic ids, fitted on training items only."""

ITEM_ID_CONFIG = config["item_ids"]
COMPARISON = ITEM_ID_CONFIG["comparison"]
EMBEDDING = ITEM_ID_CONFIG["embedding"]
EMBEDDING_SETTINGS = settings(but(EMBEDDING, "shards"), seed=SEED)
METHODS = ["sae", "sae_general", "rq_kmeans", "rq_vae"]


if EMBEDDING["shards"] == 1:

    rule embeddings:
        """Vectors of the items' texts."""
        input:
            item_table=rules.data.output.item_table,
            code=code("item_ids.embeddings"),
        output:
            embeddings=f"{RESULTS}/item_ids/embeddings.npy",
            card=f"{RESULTS}/item_ids/embeddings.json",
        log:
            f"logs/embeddings/{NAME}.log",
        benchmark:
            f"{RESULTS}/benchmarks/embeddings.tsv"
        conda:
            "../../envs/item_ids.yaml"
        params:
            settings=EMBEDDING_SETTINGS,
        shell:
            "python -m recscale.item_ids.embeddings --items {input.item_table}"
            " --embeddings {output.embeddings} --card {output.card}"
            " --settings {params.settings:q} > {log} 2>&1"

else:

    rule embedding_shard:
        """Vectors of the texts of one shard of the items."""
        input:
            item_table=rules.data.output.item_table,
            code=code("item_ids.embeddings"),
        output:
            embeddings=f"{RESULTS}/item_ids/embeddings/{{shard}}.npy",
            card=f"{RESULTS}/item_ids/embeddings/{{shard}}.json",
        log:
            f"logs/embedding_shard/{NAME}-{{shard}}.log",
        benchmark:
            f"{RESULTS}/benchmarks/embedding_shard-{{shard}}.tsv"
        wildcard_constraints:
            shard=r"\d+",
        conda:
            "../../envs/item_ids.yaml"
        params:
            shards=EMBEDDING["shards"],
            settings=EMBEDDING_SETTINGS,
        shell:
            "python -m recscale.item_ids.embeddings --items {input.item_table}"
            " --embeddings {output.embeddings} --card {output.card}"
            " --shard {wildcards.shard} --shards {params.shards}"
            " --settings {params.settings:q} > {log} 2>&1"

    rule embeddings:
        """Vectors of the items' texts, joined from their shards."""
        input:
            shards=expand(rules.embedding_shard.output.embeddings, shard=range(EMBEDDING["shards"])),
            cards=expand(rules.embedding_shard.output.card, shard=range(EMBEDDING["shards"])),
            code=code("item_ids.join_embeddings"),
        output:
            embeddings=f"{RESULTS}/item_ids/embeddings.npy",
            card=f"{RESULTS}/item_ids/embeddings.json",
        log:
            f"logs/embeddings/{NAME}.log",
        benchmark:
            f"{RESULTS}/benchmarks/embeddings.tsv"
        conda:
            "../../envs/item_ids.yaml"
        shell:
            "python -m recscale.item_ids.join_embeddings --shards {input.shards}"
            " --cards {input.cards} --embeddings {output.embeddings} --card {output.card}"
            " > {log} 2>&1"


rule text_embeddings:
    """Vectors of passages of general text, which a foundation auto-encoder would be trained on."""
    input:
        item_table=rules.data.output.item_table,
        documents=lambda wildcards: rules.general_text.output.documents,
        code=code("item_ids.text_embeddings"),
    output:
        f"{RESULTS}/item_ids/text_embeddings.npy",
    log:
        f"logs/text_embeddings/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/text_embeddings.tsv"
    conda:
        "../../envs/item_ids.yaml"
    params:
        settings=settings(
            but(EMBEDDING, "shards"), seed=SEED, passages=ITEM_ID_CONFIG["general_passages"]
        ),
    shell:
        "python -m recscale.item_ids.text_embeddings --items {input.item_table}"
        " --documents {input.documents} --embeddings {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule fit_item_ids:
    """A method of semantic ids, fitted."""
    input:
        item_table=rules.data.output.item_table,
        embeddings=rules.embeddings.output.embeddings,
        general=general_embeddings,
        code=code("item_ids.fit"),
    output:
        f"{RESULTS}/item_ids/{{method}}.npz",
    log:
        f"logs/fit_item_ids/{NAME}-{{method}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit_item_ids-{{method}}.tsv"
    wildcard_constraints:
        method="|".join(METHODS),
    conda:
        "../../envs/item_ids.yaml"
    params:
        general=general_embeddings_option,
        settings=settings(of(ITEM_ID_CONFIG, "fit_items", "sae", "rq", "rq_vae"), seed=SEED),
    shell:
        "python -m recscale.item_ids.fit --method {wildcards.method} --items {input.item_table}"
        " --embeddings {input.embeddings} {params.general} --model {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule encode_item_ids:
    """The semantic ids of all items, also those the method was not fitted on."""
    input:
        item_table=rules.data.output.item_table,
        embeddings=rules.embeddings.output.embeddings,
        model=rules.fit_item_ids.output[0],
        code=code("item_ids.encode"),
    output:
        item_ids=f"{RESULTS}/item_ids/{{method}}.parquet",
        card=f"{RESULTS}/item_ids/{{method}}.json",
    log:
        f"logs/encode_item_ids/{NAME}-{{method}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/encode_item_ids-{{method}}.tsv"
    wildcard_constraints:
        method="|".join(METHODS),
    conda:
        "../../envs/item_ids.yaml"
    params:
        settings=settings(of(ITEM_ID_CONFIG, "tie_breaking"), seed=SEED),
    shell:
        "python -m recscale.item_ids.encode --method {wildcards.method} --items {input.item_table}"
        " --embeddings {input.embeddings} --model {input.model} --item-ids {output.item_ids}"
        " --card {output.card} --settings {params.settings:q} > {log} 2>&1"


# The method whose ids the curriculum is written in, and its ids.
IDS = ITEM_ID_CONFIG["method"]
ITEM_IDS = f"{RESULTS}/item_ids/{IDS}.parquet"


rule nearest_items:
    """Appendix B: the ten nearest items of some items, by their codes."""
    input:
        item_table=rules.data.output.item_table,
        item_ids=ITEM_IDS,
        code=code("item_ids.nearest"),
    output:
        f"{RESULTS}/item_ids/nearest.csv",
    log:
        f"logs/nearest_items/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/nearest_items.tsv"
    conda:
        "../../envs/item_ids.yaml"
    params:
        settings=settings(seed=SEED, queries=COMPARISON["queries"]),
    shell:
        "python -m recscale.item_ids.nearest --items {input.item_table}"
        " --item-ids {input.item_ids} --nearest {output}"
        " --settings {params.settings:q} > {log} 2>&1"


# What is compared: Table 9's settings of RQ-kmeans, RQ-VAE with and without the cures for collapse,
# and both auto-encoders.
ITEM_ID_SETTINGS = item_id_settings()


rule item_id_quality:
    """One setting of a method of semantic ids, fitted with several seeds and measured."""
    input:
        item_table=rules.data.output.item_table,
        embeddings=rules.embeddings.output.embeddings,
        general=general_embeddings,
        code=code("item_ids.compare"),
    output:
        f"{RESULTS}/item_ids/quality/{{setting}}.parquet",
    log:
        f"logs/item_id_quality/{NAME}-{{setting}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/item_id_quality-{{setting}}.tsv"
    wildcard_constraints:
        setting="|".join(ITEM_ID_SETTINGS),
    conda:
        "../../envs/item_ids.yaml"
    params:
        method=lambda wildcards: ITEM_ID_SETTINGS[wildcards.setting]["method"],
        general=general_embeddings_option,
        settings=lambda wildcards: settings(
            but(ITEM_ID_SETTINGS[wildcards.setting], "method"),
            seed=SEED,
            trainings=COMPARISON["trainings"],
        ),
    shell:
        "python -m recscale.item_ids.compare --setting {wildcards.setting}"
        " --method {params.method} --items {input.item_table} --embeddings {input.embeddings}"
        " {params.general} --quality {output} --settings {params.settings:q} > {log} 2>&1"


QUALITY = expand(rules.item_id_quality.output[0], setting=ITEM_ID_SETTINGS)
