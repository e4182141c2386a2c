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
        # A branch of a longer run is evaluated from where it leaves that run.
        short=lambda wildcards: "--short" if trunk_of(wildcards.run) else "",
    shell:
        "python -m recscale.scaling.fit --curves {input.curves} --out {output.fits}"
        " --residuals {output.residuals} {params.short}"
        " --settings {params.settings:q} > {log} 2>&1"


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


rule rival_laws:
    """Which laws have least AICc, and which foretell the rest: runs of Tables 4 and 6."""
    input:
        rivals=expand(
            rules.rivals.output[0],
            run=list(dict.fromkeys([*runs_of("table4"), *runs_of("table6")])),
        ),
        code=code("tables.rivals"),
    output:
        **shown(table("rival_laws"), "rival_laws", "Tables"),
    log:
        f"logs/rival_laws/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/rival_laws.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.tables.rivals --rivals {input.rivals}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule table4_seeds:
    """Intervals over seeds of the laws that Table 4 prints; trains the controls they need."""
    input:
        uncertainty=expand(rules.uncertainty.output[0], run=runs_of("table4")),
        fits=fits_of("table4"),
        manifests=of_runs("manifest", "table4"),
        code=code("tables.table4_seeds"),
    output:
        **shown(table("table4_seeds"), "table4_seeds", "Tables"),
    log:
        f"logs/table4_seeds/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/table4_seeds.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.tables.table4_seeds --uncertainty {input.uncertainty}"
        " --fits {input.fits} --manifests {input.manifests}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule scaling_rivals:
    """The rivals of every law that Tables 4 and 6 print."""
    input:
        rules.rival_laws.output,


rule scaling_seeds:
    """Intervals over seeds of the laws that Table 4 prints."""
    input:
        rules.table4_seeds.output,
