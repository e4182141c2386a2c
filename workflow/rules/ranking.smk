"""Section 5.2, Figure 1: sequential recommenders trained on synthetic or on real histories."""

ARMS = ["tstr", "trtr"]


rule train_ranking:
    """One model on one arm: learning-rate sweep, trainings with several seeds, test ranks."""
    input:
        item_table=rules.data.output.item_table,
        histories=rules.data.output.histories,
        walks=walk_shards("ranking"),
        code=code("ranking.train"),
    output:
        ranking=f"{RESULTS}/ranking/{{arm}}-{{model}}.parquet",
        ranks=f"{RESULTS}/ranking/{{arm}}-{{model}}-ranks.parquet",
    log:
        f"logs/train_ranking/{NAME}-{{arm}}-{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_ranking-{{arm}}-{{model}}.tsv"
    conda:
        "../../envs/ranking.yaml"
    params:
        work_folder=f"{RESULTS}/ranking/{{arm}}-{{model}}.work",
        settings=settings(
            {key: value for key, value in config["ranking"].items() if key != "models"},
            seed=SEED,
            threads=1,
        ),
    shell:
        "python -m recscale.ranking.train --arm {wildcards.arm} --model {wildcards.model}"
        " --items {input.item_table} --histories {input.histories} --walks {input.walks}"
        " --ranking {output.ranking} --ranks {output.ranks} --work-folder {params.work_folder}"
        " --settings {params.settings:q} > {log} 2>&1"


RANKS = expand(rules.train_ranking.output.ranks, arm=ARMS, model=config["ranking"]["models"])
