"""Every table, a target by its name."""


rule table2:
    """Training tokens, mixture and repeats of each domain."""
    input:
        windows=expand(f"{RESULTS}/windows/{IDS}/train/{{domain}}.json", domain=TRAINING_DOMAINS),
        manifest=of_runs("manifest", "table2"),
        published="paper/published/table2_training_data.csv",
        code=code("tables.table2"),
    output:
        **shown(table("table2"), "table2", "Tables"),
    log:
        f"logs/table2/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table2.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.tables.table2 --windows {input.windows}"
        " --run-manifest {input.manifest} --published {input.published}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule table3:
    """Tokens of the held-out domains."""
    input:
        windows=expand(f"{RESULTS}/windows/{IDS}/held_out/{{domain}}.json", domain=HELD_OUT_DOMAINS),
        published="paper/published/table3_holdout_data.csv",
        code=code("tables.table3"),
    output:
        **shown(table("table3"), "table3", "Tables"),
    log:
        f"logs/table3/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table3.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.tables.table3 --windows {input.windows}"
        " --published {input.published} --rung {params.rung} --name {params.name}"
        " --out-prefix {params.prefix} > {log} 2>&1"


rule table4:
    """Fitted scaling laws of the four sizes."""
    input:
        fits=fits_of("table4"),
        manifests=of_runs("manifest", "table4"),
        published="paper/published/table4_scaling_laws.csv",
        code=code("tables.table4"),
    output:
        **shown(table("table4"), "table4", "Tables"),
    log:
        f"logs/table4/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table4.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.tables.table4 --fits {input.fits} --published {input.published}"
        " --manifests {input.manifests}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule table5:
    """The mixtures, their repeats of UIH, and the losses they end with."""
    input:
        curves=of_runs("curves", "table5"),
        manifests=of_runs("manifest", "table5"),
        published="paper/published/table5_mixtures.csv",
        code=code("tables.table5"),
    output:
        **shown(table("table5"), "table5", "Tables"),
    log:
        f"logs/table5/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table5.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.tables.table5 --curves {input.curves} --manifests {input.manifests}"
        " --published {input.published}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule table6:
    """UIH ratios: repeats, losses and fitted laws."""
    input:
        curves=of_runs("curves", "table6"),
        manifests=of_runs("manifest", "table6"),
        fits=fits_of("table6"),
        published="paper/published/table6_uih_repetition.csv",
        code=code("tables.table6"),
    output:
        **shown(table("table6"), "table6", "Tables"),
    log:
        f"logs/table6/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table6.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
        burn_in=config["scaling"]["burn_in"],
        pool=config["scaling"]["pool"],
    shell:
        "python -m recscale.tables.table6 --curves {input.curves} --manifests {input.manifests}"
        " --fits {input.fits} --published {input.published}"
        " --burn-in {params.burn_in} --pool {params.pool}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule table7:
    """The ten items nearest to one item by its codes."""
    input:
        nearest=rules.nearest_items.output[0],
        code=code("tables.table7"),
    output:
        **shown(table("table7"), "table7", "Tables"),
    log:
        f"logs/table7/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table7.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.tables.table7 --nearest {input.nearest}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule table8:
    """The sweep over walk configurations."""
    input:
        sweep=rules.walk_sweep.output[0],
        published="paper/published/table8_walk_sweep.csv",
        code=code("tables.table8"),
    output:
        **shown(table("table8"), "table8", "Tables"),
    log:
        f"logs/table8/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table8.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.tables.table8 --sweep {input.sweep} --published {input.published}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule table9:
    """Collisions of RQ-kmeans at five settings of layers and codes."""
    input:
        quality=QUALITY,
        published="paper/published/table9_rq_sweep.csv",
        code=code("tables.table9"),
    output:
        **shown(table("table9"), "table9", "Tables"),
    log:
        f"logs/table9/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table9.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.tables.table9 --quality {input.quality} --published {input.published}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule item_id_methods:
    """The methods of semantic ids side by side."""
    input:
        quality=QUALITY,
        code=code("tables.item_id_methods"),
    output:
        **shown(table("item_id_methods"), "item_id_methods", "Tables"),
    log:
        f"logs/item_id_methods/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/item_id_methods.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.tables.item_id_methods --quality {input.quality}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule ranking_strata:
    """Figure 1 by the target's popularity and place in the history, with baselines."""
    input:
        ranks=[*RANKS, *BASELINE_RANKS],
        code=code("tables.ranking_arms"),
    output:
        **shown(table("ranking_strata"), "ranking_strata", "Tables"),
    log:
        f"logs/ranking_strata/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/ranking_strata.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
        seed=SEED,
        cutoffs=RANKING["cutoffs"],
    shell:
        "python -m recscale.tables.ranking_arms --target ranking_strata --ranks {input.ranks}"
        " --seed {params.seed} --cutoffs {params.cutoffs} --rung {params.rung}"
        " --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule ranking_controls:
    """The arms that could refute Figure 1's reading."""
    input:
        ranks=[*RANKS, *BASELINE_RANKS, *CONTROL_RANKS],
        code=code("tables.ranking_arms"),
    output:
        **shown(table("ranking_controls"), "ranking_controls", "Tables"),
    log:
        f"logs/ranking_controls/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/ranking_controls.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
        seed=SEED,
        cutoffs=RANKING["cutoffs"],
    shell:
        "python -m recscale.tables.ranking_arms --target ranking_controls --ranks {input.ranks}"
        " --seed {params.seed} --cutoffs {params.cutoffs} --rung {params.rung}"
        " --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule pretraining_controls:
    """Contrasts between runs that tell apart what the paper confounds."""
    input:
        curves=of_runs("curves", "pretraining_controls"),
        code=code("tables.pretraining_controls"),
    output:
        **shown(table("pretraining_controls"), "pretraining_controls", "Tables"),
    log:
        f"logs/pretraining_controls/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/pretraining_controls.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.tables.pretraining_controls --curves {input.curves}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"
