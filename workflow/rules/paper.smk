"""Every artefact, each a target by its name; the claims' verdicts; and the paper itself."""


rule table2:
    """Training tokens, mixture and repeats of each domain."""
    input:
        windows=expand(f"{RESULTS}/windows/train/{{domain}}.json", domain=TRAINING_DOMAINS),
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
        windows=expand(f"{RESULTS}/windows/held_out/{{domain}}.json", domain=HELD_OUT_DOMAINS),
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


rule fig1:
    """Recall of models trained on synthetic against models trained on real histories."""
    input:
        ranks=RANKS,
        published="paper/published/claims.csv",
        code=code("figures.fig1"),
    output:
        **shown(figure("fig1"), "fig1", "Figures"),
    log:
        f"logs/fig1/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig1.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
        seed=SEED,
        cutoffs=config["ranking"]["cutoffs"],
    shell:
        "python -m recscale.figures.fig1 --ranks {input.ranks} --published {input.published}"
        " --seed {params.seed} --cutoffs {params.cutoffs} --rung {params.rung}"
        " --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule fig2:
    """Held-out perplexity against training tokens, four sizes, seven domains."""
    input:
        curves=of_runs("curves", "fig2"),
        fits=fits_of("fig2"),
        manifests=of_runs("manifest", "fig2"),
        published="paper/published/table4_scaling_laws.csv",
        code=code("figures.fig2"),
    output:
        **shown(figure("fig2"), "fig2", "Figures"),
    log:
        f"logs/fig2/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig2.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
        burn_in=config["scaling"]["burn_in"],
    shell:
        "python -m recscale.figures.fig2 --curves {input.curves} --fits {input.fits}"
        " --manifests {input.manifests} --published {input.published}"
        " --burn-in {params.burn_in}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule fig6a:
    """Training loss of the four sizes."""
    input:
        training=of_runs("training", "fig6a"),
        manifests=of_runs("manifest", "fig6a"),
        published="paper/published/claims.csv",
        code=code("figures.fig6a"),
    output:
        **shown(figure("fig6a"), "fig6a", "Figures"),
    log:
        f"logs/fig6a/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig6a.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.fig6a --training {input.training}"
        " --manifests {input.manifests} --published {input.published}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule true_preference:
    """Both arms on true preference against the strength of a bias, in simulated marketplaces."""
    input:
        trials=WORLD_TRIALS,
        code=code("figures.true_preference"),
    output:
        **shown(figure("true_preference"), "true_preference", "Figures"),
    log:
        f"logs/true_preference/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/true_preference.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.true_preference --trials {input.trials}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule claims:
    """A verdict on each claim of the paper, by the rule fixed in paper/claims.yaml."""
    input:
        claims="paper/claims.yaml",
        published="paper/published/claims.csv",
        ranks=RANKS,
        fits=fits_of("table4"),
        curves=of_runs("curves", "fig2"),
        training=of_runs("training", "fig6a"),
        sweep=rules.walk_sweep.output[0],
        quality=QUALITY,
        code=code("claims.ledger"),
    output:
        report(
            f"{RESULTS}/claims/verdicts.csv",
            caption="../report/claims.rst",
            category="Claims",
            labels={"artefact": "claims", "rung": RUNG, "file": "csv"},
        ),
    log:
        f"logs/claims/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/claims.tsv"
    conda:
        "../../envs/scaling.yaml"
    params:
        rung=RUNG,
    shell:
        "python -m recscale.claims.ledger --claims {input.claims} --published {input.published}"
        " --ranks {input.ranks} --fits {input.fits} --curves {input.curves}"
        " --training {input.training} --sweep {input.sweep} --quality {input.quality}"
        " --rung {params.rung} --out {output} > {log} 2>&1"


TABLES = [
    "table2",
    "table3",
    "table4",
    "table7",
    "table8",
    "table9",
    "item_id_methods",
    "ranking_strata",
]
FIGURES = ["fig1", "fig2", "fig6a"]


rule paper:
    """The compiled paper: method as built, every artefact beside the paper's, every verdict."""
    input:
        main="paper/main.typ",
        parts="paper/artefacts.typ",
        card=rules.data.output.card,
        tables=[table(name)["csv"] for name in TABLES],
        figures=[figure(name)[kind] for name in FIGURES for kind in ["pdf", "csv"]],
        verdicts=rules.claims.output[0],
        manifests=of_runs("manifest", "fig2"),
        code=code("paper.compile"),
    output:
        report(
            f"{PAPER}/paper.pdf",
            caption="../report/paper.rst",
            category="Paper",
            labels={"artefact": "paper", "rung": RUNG, "file": "pdf"},
        ),
    log:
        f"logs/paper/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/paper.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        name=NAME,
        rung=RUNG,
        artefacts=lambda wildcards, output: str(Path(output[0]).parent),
    shell:
        "python -m recscale.paper.compile --main {input.main} --name {params.name}"
        " --rung {params.rung} --artefacts {params.artefacts} --verdicts {input.verdicts}"
        " --card {input.card} --manifests {input.manifests} --out {output} > {log} 2>&1"


rule all:
    """The paper's artefacts."""
    input:
        [path for name in TABLES for path in table(name).values()],
        [path for name in FIGURES for path in figure(name).values()],
        rules.claims.output,
        rules.paper.output,


rule all_controls:
    """The paper's artefacts and the controls that it lacks: ranking arms, and fits of runs."""
    input:
        rules.all.input,
        rules.ranking_controls.output,
        rules.true_preference.output,
        expand(
            rules.fit.output[0],
            run=[name for name, run in EXPERIMENTS["runs"].items() if run["control"]],
        ),
