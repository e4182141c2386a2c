"""Section 8: what final models answer, and where they put real users' next items."""

GENERATION = PRETRAINING["generation"]
HOW_TO_ANSWER = {
    **of(GENERATION, "histories", "beams", "batch_prompts"),
    **of(PRETRAINING, "precision", "device", "threads"),
    "seed": SEED,
    "length": config["curriculum"]["windows"]["length"],
}
# The recommenders of Figure 1 that stand beside the language models; the first is the reference.
BESIDE = sorted({"SASRec", "GRU4Rec"} & set(RANKING["models"]), reverse=True)
BESIDE = BESIDE or RANKING["models"][:1]


rule answers:
    """What a run's final model answers to held-out walks and to random histories."""
    input:
        manifest=rules.cpt.output.manifest,
        tokenizer=lambda wildcards: tokenizer_of(ids_of_run(wildcards.run)),
        item_ids=lambda wildcards: f"{RESULTS}/item_ids/{ids_of_run(wildcards.run)}.parquet",
        item_table=rules.data.output.item_table,
        full_graph=walk_shards("uih_full_graph"),
        ood=walk_shards("uih_ood"),
        train=walk_shards("train"),
        code=code("pretraining.generation"),
    output:
        f"{RESULTS}/pretraining/{{run}}/generation.parquet",
    log:
        f"logs/answers/{NAME}-{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/answers-{{run}}.tsv"
    conda:
        "../../envs/pretraining.yaml"
    threads: PRETRAINING["threads"]
    params:
        settings=settings(HOW_TO_ANSWER),
    shell:
        "python -m recscale.pretraining.generation --manifest {input.manifest}"
        " --tokenizer $(dirname {input.tokenizer[0]}) --item-ids {input.item_ids}"
        " --items {input.item_table} --uih-full-graph {input.full_graph} --uih-ood {input.ood}"
        " --train {input.train} --generation {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule case_studies:
    """Prompts and answers of Figures 9, 10 and 11, drawn by the seed."""
    input:
        manifest=rules.cpt.output.manifest,
        tokenizer=lambda wildcards: tokenizer_of(ids_of_run(wildcards.run)),
        item_ids=lambda wildcards: f"{RESULTS}/item_ids/{ids_of_run(wildcards.run)}.parquet",
        item_table=rules.data.output.item_table,
        walks=walk_shards("uih_full_graph"),
        code=code("pretraining.case_studies"),
    output:
        f"{RESULTS}/pretraining/{{run}}/case_studies.parquet",
    log:
        f"logs/case_studies/{NAME}-{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/case_studies-{{run}}.tsv"
    conda:
        "../../envs/pretraining.yaml"
    threads: PRETRAINING["threads"]
    params:
        settings=settings(HOW_TO_ANSWER),
    shell:
        "python -m recscale.pretraining.case_studies --manifest {input.manifest}"
        " --tokenizer $(dirname {input.tokenizer[0]}) --item-ids {input.item_ids}"
        " --items {input.item_table} --walks {input.walks} --cases {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule next_items:
    """Where beam search with a run's final model puts the next items of Figure 1's users."""
    input:
        manifest=rules.cpt.output.manifest,
        tokenizer=lambda wildcards: tokenizer_of(ids_of_run(wildcards.run)),
        item_ids=lambda wildcards: f"{RESULTS}/item_ids/{ids_of_run(wildcards.run)}.parquet",
        histories=rules.data.output.histories,
        walks=walk_shards("ranking"),
        code=code("pretraining.next_items"),
    output:
        f"{RESULTS}/pretraining/{{run}}/next_items.parquet",
    log:
        f"logs/next_items/{NAME}-{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/next_items-{{run}}.tsv"
    conda:
        "../../envs/pretraining.yaml"
    threads: PRETRAINING["threads"]
    params:
        settings=settings(
            but(HOW_TO_ANSWER, "histories"),
            of(GENERATION, "users", "cutoffs"),
            of(RANKING, "min_item_count", "history_length"),
            beams=GENERATION["user_beams"],
        ),
    shell:
        "python -m recscale.pretraining.next_items --manifest {input.manifest}"
        " --tokenizer $(dirname {input.tokenizer[0]}) --item-ids {input.item_ids}"
        " --histories {input.histories} --walks {input.walks} --next-items {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule generation:
    """Hits, answers that are no item, and diversity, of the four sizes."""
    input:
        generation=expand(rules.answers.output[0], run=runs_of("fig2")),
        code=code("tables.generation"),
    output:
        **shown(table("generation"), "generation", "Tables"),
    log:
        f"logs/generation/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/generation.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.tables.generation --generation {input.generation}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule next_item_recall:
    """Recall of real next items: the four sizes beside the recommenders of Figure 1."""
    input:
        next_items=expand(rules.next_items.output[0], run=runs_of("fig2")),
        ranks=expand(
            rules.train_ranking.output.ranks,
            budget="matched",
            validation="real",
            arm=ARMS,
            model=[*BESIDE, *BASELINES],
        ),
        manifests=of_runs("manifest", "fig2"),
        code=code("tables.next_item_recall"),
    output:
        **shown(table("next_item_recall"), "next_item_recall", "Tables"),
    log:
        f"logs/next_item_recall/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/next_item_recall.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
        seed=SEED,
        reference=BESIDE[0],
        cutoffs=GENERATION["cutoffs"],
    shell:
        "python -m recscale.tables.next_item_recall --next-items {input.next_items}"
        " --ranks {input.ranks} --reference {params.reference} --cutoffs {params.cutoffs}"
        " --seed {params.seed} --manifests {input.manifests}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule fig9:
    """The next item after a held-out walk by greedy search."""
    input:
        cases=expand(rules.case_studies.output[0], run=runs_of("fig9")),
        code=code("figures.fig9"),
    output:
        **shown(figure("fig9"), "fig9", "Figures"),
    log:
        f"logs/fig9/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig9.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.fig9 --cases {input.cases}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule fig10:
    """A beam search after a long held-out walk."""
    input:
        cases=expand(rules.case_studies.output[0], run=runs_of("fig10")),
        code=code("figures.fig10"),
    output:
        **shown(figure("fig10"), "fig10", "Figures"),
    log:
        f"logs/fig10/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig10.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.fig10 --cases {input.cases}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule fig11:
    """A beam search after a history of random items."""
    input:
        cases=expand(rules.case_studies.output[0], run=runs_of("fig11")),
        code=code("figures.fig11"),
    output:
        **shown(figure("fig11"), "fig11", "Figures"),
    log:
        f"logs/fig11/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig11.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.fig11 --cases {input.cases}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"
