"""Every figure, a target by its name."""


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
