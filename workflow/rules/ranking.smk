"""Section 5.2, Figure 1: sequential recommenders trained on synthetic or on real histories."""

RANKING = config["ranking"]
ARMS = ["tstr", "trtr"]
CONTROL_ARMS = ["trtr_shuffled", "tstr_rewired", "both"]
BASELINES = ["Popularity", "ItemKNN"]
HOW_TO_RANK = but(RANKING, "models", "control_models", "world_trials")
TRIALS = RANKING["world_trials"]
# One bias at a time; none of them is the reference.
DIALS = ["position_bias", "popularity_bias", "exposure_bias"]


rule train_ranking:
    """One model on one arm: learning-rate sweep, trainings with several seeds, test ranks."""
    input:
        item_table=rules.data.output.item_table,
        histories=rules.data.output.histories,
        walks=walk_shards("ranking"),
        rewired=rewired_walks,
        code=code("ranking.train"),
    output:
        ranking=f"{RESULTS}/ranking/{{budget}}-{{validation}}/{{arm}}-{{model}}.parquet",
        ranks=f"{RESULTS}/ranking/{{budget}}-{{validation}}/{{arm}}-{{model}}-ranks.parquet",
    log:
        f"logs/train_ranking/{NAME}-{{budget}}-{{validation}}-{{arm}}-{{model}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/train_ranking-{{budget}}-{{validation}}-{{arm}}-{{model}}.tsv"
    wildcard_constraints:
        budget="matched|own",
        validation="real|walks",
        model="|".join([*RANKING["models"], *BASELINES]),
    conda:
        "../../envs/ranking.yaml"
    params:
        work_folder=f"{RESULTS}/ranking/{{budget}}-{{validation}}/{{arm}}-{{model}}.work",
        rewired=rewired_walks_option,
        settings=settings(HOW_TO_RANK, seed=SEED, threads=1),
    shell:
        "python -m recscale.ranking.train --arm {wildcards.arm} --budget {wildcards.budget}"
        " --validation {wildcards.validation} --model {wildcards.model}"
        " --items {input.item_table} --histories {input.histories} --walks {input.walks}"
        " {params.rewired} --ranking {output.ranking} --ranks {output.ranks}"
        " --work-folder {params.work_folder} --settings {params.settings:q} > {log} 2>&1"


# Figure 1: every model on both arms, with as many examples in either and with each arm's own.
RANKS = expand(
    rules.train_ranking.output.ranks,
    budget=["matched", "own"],
    validation="real",
    arm=ARMS,
    model=RANKING["models"],
)
BASELINE_RANKS = expand(
    rules.train_ranking.output.ranks,
    budget="matched",
    validation="real",
    arm=ARMS,
    model=BASELINES,
)
# What could refute its reading: other arms, and trainings that held-out walks stop.
CONTROL_RANKS = [
    *expand(
        rules.train_ranking.output.ranks,
        budget="matched",
        validation="real",
        arm=CONTROL_ARMS,
        model=RANKING["control_models"],
    ),
    *expand(
        rules.train_ranking.output.ranks,
        budget="matched",
        validation="walks",
        arm=ARMS,
        model=RANKING["control_models"],
    ),
]


rule world_trial:
    """Both arms where true preference is known: simulated marketplaces with one bias."""
    input:
        code=code("ranking.world_trial"),
    output:
        f"{RESULTS}/ranking/world/{{dial}}-{{strength}}.parquet",
    log:
        f"logs/world_trial/{NAME}-{{dial}}-{{strength}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/world_trial-{{dial}}-{{strength}}.tsv"
    wildcard_constraints:
        dial="|".join(["none", *DIALS]),
        strength=r"[0-9.]+",
    conda:
        "../../envs/ranking.yaml"
    params:
        folder=f"{RESULTS}/ranking/world/{{dial}}-{{strength}}.work",
        settings=trial_settings(),
    shell:
        "python -m recscale.ranking.world_trial --dial {wildcards.dial}"
        " --strength {wildcards.strength} --folder {params.folder} --trial {output}"
        " --settings {params.settings:q} > {log} 2>&1"


WORLD_TRIALS = [
    expand(rules.world_trial.output[0], dial="none", strength=0),
    expand(rules.world_trial.output[0], dial=DIALS, strength=TRIALS["strengths"]),
]
