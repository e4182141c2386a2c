"""Section 4: association rules, item graph, walks, and real histories in their place."""


rule session_items:
    """Layer 1: the items of each training session."""
    input:
        events=rules.data.output.events,
        code=code("curriculum.session_items"),
    output:
        session_items=f"{RESULTS}/rules/session_items.parquet",
        card=f"{RESULTS}/rules/session_items.json",
    log:
        f"logs/session_items/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/session_items.tsv"
    conda:
        "../../envs/curriculum.yaml"
    params:
        settings=settings(
            of(RULES, "max_session_items", "max_minutes", "memory_limit"),
            train_until=config["data"]["train_until"],
        ),
    shell:
        "python -m recscale.curriculum.session_items --events {input.events}"
        " --session-items {output.session_items} --card {output.card}"
        " --settings {params.settings:q} > {log} 2>&1"


rule pair_counts:
    """Layer 1: in how many sessions, and of how many users, two items meet; one part of all."""
    input:
        session_items=rules.session_items.output.session_items,
        code=code("curriculum.pair_counts"),
    output:
        f"{RESULTS}/rules/pairs/{{part}}.parquet",
    log:
        f"logs/pair_counts/{NAME}-{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pair_counts-{{part}}.tsv"
    wildcard_constraints:
        part=r"\d+",
    conda:
        "../../envs/curriculum.yaml"
    params:
        parts=RULES["jobs"],
        settings=settings(
            of(RULES, "min_support", "min_users", "max_minutes", "partitions", "memory_limit")
        ),
    shell:
        "python -m recscale.curriculum.pair_counts --session-items {input.session_items}"
        " --pairs {output} --part {wildcards.part} --parts {params.parts} --threads {threads}"
        " --settings {params.settings:q} > {log} 2>&1"


rule association_rules:
    """Layer 1: association rules of the pairs, and their split into edges."""
    input:
        session_items=rules.session_items.output.session_items,
        pairs=expand(rules.pair_counts.output[0], part=range(RULES["jobs"])),
        item_table=rules.data.output.item_table,
        existing=RULES["existing"] or [],
        code=code("curriculum.rules"),
    output:
        rules=f"{RESULTS}/rules/rules.parquet",
        card=f"{RESULTS}/rules/rules.json",
    log:
        f"logs/association_rules/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/association_rules.tsv"
    conda:
        "../../envs/curriculum.yaml"
    params:
        settings=settings(
            of(
                RULES,
                "min_support",
                "min_users",
                "min_lift",
                "held_out_edges",
                "existing",
                "memory_limit",
            ),
            seed=SEED,
        ),
    shell:
        "python -m recscale.curriculum.rules --session-items {input.session_items}"
        " --pairs {input.pairs} --items {input.item_table} --rules {output.rules}"
        " --card {output.card} --settings {params.settings:q} > {log} 2>&1"


rule graph:
    """The item graphs: of training rules, of held-out rules, and of both."""
    input:
        rules=rules.association_rules.output.rules,
        item_table=rules.data.output.item_table,
        code=code("curriculum.graph"),
    output:
        train=f"{RESULTS}/graph/train.npz",
        held_out=f"{RESULTS}/graph/held_out.npz",
        full=f"{RESULTS}/graph/full.npz",
        card=f"{RESULTS}/graph/card.json",
    log:
        f"logs/graph/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/graph.tsv"
    conda:
        "../../envs/curriculum.yaml"
    shell:
        "python -m recscale.curriculum.graph --rules {input.rules} --items {input.item_table}"
        " --train {output.train} --held-out {output.held_out} --full {output.full} --card {output.card} > {log} 2>&1"


rule rewired_graph:
    """The training graph with its degrees and no other structure: a control for Figure 1."""
    input:
        graph=rules.graph.output.train,
        code=code("curriculum.rewired"),
    output:
        f"{RESULTS}/graph/rewired.npz",
    log:
        f"logs/rewired_graph/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/rewired_graph.tsv"
    conda:
        "../../envs/curriculum.yaml"
    params:
        settings=settings(seed=SEED),
    shell:
        "python -m recscale.curriculum.rewired --graph {input.graph} --rewired {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule walks:
    """Layer 2: one shard of a set of synthetic user interaction histories, walks on a graph."""
    input:
        graph=lambda wildcards: f"{RESULTS}/graph/{GRAPH_OF[wildcards.stream]}.npz",
        code=code("curriculum.walks"),
    output:
        f"{RESULTS}/walks/{{stream}}/{{shard}}.parquet",
    log:
        f"logs/walks/{NAME}-{{stream}}-{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/walks-{{stream}}-{{shard}}.tsv"
    wildcard_constraints:
        stream="|".join(GRAPH_OF),
        shard=r"\d+",
    conda:
        "../../envs/curriculum.yaml"
    params:
        shards=WALKS["shards"],
        settings=lambda wildcards: settings(
            HOW_TO_WALK, seed=SEED, walks=number_of_walks(wildcards.stream)
        ),
    shell:
        "python -m recscale.curriculum.walks --graph {input.graph} --stream {wildcards.stream}"
        " --shard {wildcards.shard} --shards {params.shards} --walks {output} --threads {threads}"
        " --settings {params.settings:q} > {log} 2>&1"


rule real_histories:
    """Stretches of real histories in the place of walks: a control, and a held-out domain."""
    input:
        events=rules.data.output.events,
        item_table=rules.data.output.item_table,
        walks=lambda wildcards: walk_shards(WALKS_OF[wildcards.part]),
        code=code("curriculum.real_histories"),
    output:
        f"{RESULTS}/real_histories/{{part}}.parquet",
    log:
        f"logs/real_histories/{NAME}-{{part}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/real_histories-{{part}}.tsv"
    wildcard_constraints:
        part="|".join(WALKS_OF),
    conda:
        "../../envs/curriculum.yaml"
    params:
        settings=lambda wildcards: settings(
            seed=SEED,
            train_until=config["data"]["train_until"],
            sequences=number_of_real_histories(wildcards.part),
        ),
    shell:
        "python -m recscale.curriculum.real_histories --events {input.events}"
        " --items {input.item_table} --walks {input.walks} --part {wildcards.part}"
        " --sequences {output} --settings {params.settings:q} > {log} 2>&1"


rule walk_sweep:
    """Table 8's measures for its 14 walk configurations."""
    input:
        graph=rules.graph.output.train,
        item_ids=ITEM_IDS,
        published="paper/published/table8_walk_sweep.csv",
        code=code("curriculum.sweep"),
    output:
        f"{RESULTS}/walks/sweep.csv",
    log:
        f"logs/walk_sweep/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/walk_sweep.tsv"
    conda:
        "../../envs/curriculum.yaml"
    params:
        settings=settings(
            seed=SEED,
            engine=WALKS["engine"],
            at_threshold=WALKS["at_threshold"],
            walks=WALKS["sweep"],
            min_items=WALKS["min_items"],
            max_items=WALKS["max_items"],
        ),
    shell:
        "python -m recscale.curriculum.sweep --graph {input.graph} --item-ids {input.item_ids}"
        " --published {input.published} --sweep {output} --threads {threads}"
        " --settings {params.settings:q} > {log} 2>&1"
