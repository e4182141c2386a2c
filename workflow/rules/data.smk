"""Sections 3 and 6.1: the log, its items, the real histories, and the splits of time and items."""


rule data:
    """Read the log of the rung and split it, by time first, then by item."""
    input:
        source=files_in(config["data"]["folder"], "*.parquet"),
        code=code("data.prepare"),
    output:
        item_table=f"{RESULTS}/data/items.parquet",
        events=f"{RESULTS}/data/events.parquet",
        histories=f"{RESULTS}/data/histories.parquet",
        card=f"{RESULTS}/data/card.json",
    log:
        f"logs/data/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/data.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        settings=settings(config["data"], seed=SEED),
    shell:
        "python -m recscale.data.prepare --items {output.item_table} --events {output.events}"
        " --histories {output.histories} --card {output.card}"
        " --settings {params.settings:q} > {log} 2>&1"
