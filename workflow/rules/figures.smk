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


rule fig3:
    """Held-out perplexity of four mixtures against training tokens."""
    input:
        curves=of_runs("curves", "fig3"),
        code=code("figures.fig3"),
    output:
        **shown(figure("fig3"), "fig3", "Figures"),
    log:
        f"logs/fig3/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig3.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.fig3 --curves {input.curves}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule fig4:
    """Held-out UIH perplexity of four mixtures against UIH tokens."""
    input:
        curves=of_runs("curves", "fig4"),
        code=code("figures.fig4"),
    output:
        **shown(figure("fig4"), "fig4", "Figures"),
    log:
        f"logs/fig4/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig4.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.fig4 --curves {input.curves}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule fig4_controls:
    """Figure 4 with the controls that tell CF from repetition."""
    input:
        curves=of_runs("curves", "fig4"),
        controls=of_runs("curves", "fig4_controls"),
        code=code("figures.fig4"),
    output:
        **shown(figure("fig4_controls"), "fig4_controls", "Figures"),
    log:
        f"logs/fig4_controls/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig4_controls.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.fig4 --target fig4_controls --curves {input.curves}"
        " --control-curves {input.controls}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule fig5:
    """Held-out perplexity at five UIH ratios, and where overfitting begins."""
    input:
        curves=of_runs("curves", "fig5"),
        code=code("figures.fig5"),
    output:
        **shown(figure("fig5"), "fig5", "Figures"),
    log:
        f"logs/fig5/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig5.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
        burn_in=config["scaling"]["burn_in"],
    shell:
        "python -m recscale.figures.fig5 --curves {input.curves} --burn-in {params.burn_in}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule fig6:
    """Training loss of four sizes and of the UIH ratios."""
    input:
        sizes=of_runs("training", "fig6a"),
        ratios=of_runs("training", "fig6b"),
        manifests=of_runs("manifest", "fig6a"),
        published="paper/published/claims.csv",
        code=code("figures.fig6"),
    output:
        **shown(figure("fig6"), "fig6", "Figures"),
    log:
        f"logs/fig6/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig6.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.fig6 --training-a {input.sizes} --training-b {input.ratios}"
        " --manifests {input.manifests} --published {input.published}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule fig7:
    """UIH perplexity at two UIH ratios, four sizes."""
    input:
        curves=of_runs("curves", "fig7"),
        manifests=of_runs("manifest", "fig2"),
        code=code("figures.fig7"),
    output:
        **shown(figure("fig7"), "fig7", "Figures"),
    log:
        f"logs/fig7/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig7.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
        burn_in=config["scaling"]["burn_in"],
    shell:
        "python -m recscale.figures.fig7 --curves {input.curves} --burn-in {params.burn_in}"
        " --manifests {input.manifests}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule fig12:
    """SAE against RQ-kmeans ids, per token and per item."""
    input:
        curves=of_runs("curves", "fig12"),
        code=code("figures.fig12"),
    output:
        **shown(figure("fig12"), "fig12", "Figures"),
    log:
        f"logs/fig12/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig12.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
        ids=[ids_of_run(run) for run in runs_of("fig12")],
    shell:
        "python -m recscale.figures.fig12 --curves {input.curves} --ids {params.ids}"
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
