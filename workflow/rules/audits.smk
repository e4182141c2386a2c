"""Table 1 and sections 5.1 and 5.3: audits of biases, fidelity and privacy."""

AUDIT = config["audits"]
# What every audit is told, and how audits walk on graphs of their own.
HOW_TO_AUDIT = {**AUDIT, "seed": SEED, "train_until": config["data"]["train_until"]}
WALKS_OF_AUDITS = {**HOW_TO_WALK, "seed": SEED, "walks": AUDIT["walks"]}
HAS_EXPOSURE = DATA["source"] == "complete_journey"


rule marketplaces:
    """What a bias of the log does to walks where true preference is known."""
    input:
        code=code("audits.marketplace"),
    output:
        f"{RESULTS}/audits/marketplaces.csv",
    log:
        f"logs/marketplaces/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/marketplaces.tsv"
    conda:
        "../../envs/ranking.yaml"
    params:
        settings=settings(
            seed=SEED,
            seeds=TRIALS["seeds"],
            strengths=[max(TRIALS["strengths"])],
            world=of(TRIALS, "users", "items", "events", "months"),
            held_out_items=DATA["held_out_items"],
            rules={
                **but(RULES, "jobs", "existing"),
                "min_support": TRIALS["min_support"],
                "min_users": TRIALS["min_support"],
            },
            walk=WALKS_OF_AUDITS,
        ),
    shell:
        "python -m recscale.audits.marketplace --marketplaces {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule bias:
    """Biases of the real log and of its walks, with those of the marketplaces."""
    input:
        events=rules.data.output.events,
        item_table=rules.data.output.item_table,
        walks=walk_shards("ranking"),
        exposure=rules.exposure.output.exposure if HAS_EXPOSURE else [],
        marketplaces=rules.marketplaces.output[0],
        code=code("audits.bias"),
    output:
        f"{RESULTS}/audits/bias.csv",
    log:
        f"logs/bias/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/bias.tsv"
    conda:
        "../../envs/ranking.yaml"
    params:
        exposure=lambda wildcards, input: f"--exposure {input.exposure}" if HAS_EXPOSURE else "",
        settings=settings(HOW_TO_AUDIT),
    shell:
        "python -m recscale.audits.bias --events {input.events} --items {input.item_table}"
        " --walks {input.walks} {params.exposure} --marketplaces {input.marketplaces}"
        " --bias {output} --settings {params.settings:q} > {log} 2>&1"


rule fidelity_measures:
    """Distances of walks from real histories, and of these from each other."""
    input:
        events=rules.data.output.events,
        item_table=rules.data.output.item_table,
        walks=walk_shards("ranking"),
        code=code("audits.fidelity"),
    output:
        fidelity=f"{RESULTS}/audits/fidelity.csv",
        distributions=f"{RESULTS}/audits/distributions.csv",
    log:
        f"logs/fidelity_measures/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fidelity_measures.tsv"
    conda:
        "../../envs/ranking.yaml"
    params:
        settings=settings(HOW_TO_AUDIT),
    shell:
        "python -m recscale.audits.fidelity --events {input.events} --items {input.item_table}"
        " --walks {input.walks} --fidelity {output.fidelity}"
        " --distributions {output.distributions} --settings {params.settings:q} > {log} 2>&1"


rule privacy_measures:
    """What walks tell of single users, and what a threshold on users costs."""
    input:
        events=rules.data.output.events,
        item_table=rules.data.output.item_table,
        histories=rules.data.output.histories,
        rules=rules.association_rules.output.rules,
        walks=walk_shards("ranking"),
        code=code("audits.privacy"),
    output:
        f"{RESULTS}/audits/privacy.csv",
    log:
        f"logs/privacy_measures/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/privacy_measures.tsv"
    conda:
        "../../envs/ranking.yaml"
    params:
        settings=settings(
            but(HOW_TO_AUDIT, "walks"),
            rules=but(RULES, "jobs", "existing"),
            walk=WALKS_OF_AUDITS,
        ),
    shell:
        "python -m recscale.audits.privacy --events {input.events} --items {input.item_table}"
        " --histories {input.histories} --rules {input.rules} --walks {input.walks}"
        " --privacy {output} --settings {params.settings:q} > {log} 2>&1"


rule table1:
    """The paper's taxonomy of biases, each measured in the log and in the walks."""
    input:
        bias=rules.bias.output[0],
        code=code("tables.table1"),
    output:
        **shown(table("table1"), "table1", "Tables"),
    log:
        f"logs/table1/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table1.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.tables.table1 --bias {input.bias}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule privacy:
    """What walks tell of single users."""
    input:
        privacy=rules.privacy_measures.output[0],
        code=code("tables.privacy"),
    output:
        **shown(table("privacy"), "privacy", "Tables"),
    log:
        f"logs/privacy/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/privacy.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.tables.privacy --privacy {input.privacy}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule fidelity:
    """Popularity and length of walks and of real histories, and distances."""
    input:
        fidelity=rules.fidelity_measures.output.fidelity,
        distributions=rules.fidelity_measures.output.distributions,
        code=code("figures.fidelity"),
    output:
        **shown(figure("fidelity"), "fidelity", "Figures"),
    log:
        f"logs/fidelity/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fidelity.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.fidelity --fidelity {input.fidelity}"
        " --distributions {input.distributions}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"
