"""Section 6.2: power laws of held-out loss against tokens, one per run and domain."""


rule fit:
    """L(D) = L_inf + A (D/D0)^-alpha for each domain of one run, with intervals and a status."""
    input:
        curves=rules.cpt.output.curves,
        code=code("scaling.fit"),
    output:
        fits=f"{RESULTS}/scaling/{{run}}.csv",
        residuals=f"{RESULTS}/scaling/residuals/{{run}}.parquet",
    log:
        f"logs/fit/{NAME}-{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit-{{run}}.tsv"
    conda:
        "../../envs/scaling.yaml"
    params:
        settings=settings(config["scaling"]),
    shell:
        "python -m recscale.scaling.fit --curves {input.curves} --out {output.fits}"
        " --residuals {output.residuals} --settings {params.settings:q} > {log} 2>&1"


rule rivals:
    """Other laws fitted to the same curves: AICc, and the second half foretold by the first."""
    input:
        curves=rules.cpt.output.curves,
        code=code("scaling.rivals"),
    output:
        f"{RESULTS}/scaling/rivals/{{run}}.parquet",
    log:
        f"logs/rivals/{NAME}-{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/rivals-{{run}}.tsv"
    conda:
        "../../envs/scaling.yaml"
    params:
        settings=settings(config["scaling"]),
    shell:
        "python -m recscale.scaling.rivals --curves {input.curves} --out {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule uncertainty:
    """Intervals of alpha and L_inf over the seeds of a run, and inside its first seed."""
    input:
        curves=curves_of_all_seeds,
        code=code("scaling.uncertainty"),
    output:
        f"{RESULTS}/scaling/uncertainty/{{run}}.parquet",
    log:
        f"logs/uncertainty/{NAME}-{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/uncertainty-{{run}}.tsv"
    conda:
        "../../envs/scaling.yaml"
    params:
        settings=settings(config["scaling"], seed=SEED),
    shell:
        "python -m recscale.scaling.uncertainty --curves {input.curves} --out {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule scaling_rivals:
    """The rivals of every law that Tables 4 and 6 print."""
    input:
        expand(rules.rivals.output[0], run=[*runs_of("table4"), *runs_of("table6")]),


rule scaling_seeds:
    """Intervals over seeds of the laws that Table 4 prints; trains the controls they need."""
    input:
        expand(rules.uncertainty.output[0], run=runs_of("table4")),
