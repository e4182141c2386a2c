"""Section 6.2: power laws of held-out loss against tokens, one per run and domain."""


rule fit:
    """L(D) = L_inf + A (D/D0)^-alpha for each domain of one run, with intervals and a status."""
    input:
        curves=rules.cpt.output.curves,
        code=code("scaling.fit"),
    output:
        f"{RESULTS}/scaling/{{run}}.csv",
    log:
        f"logs/fit/{NAME}-{{run}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fit-{{run}}.tsv"
    conda:
        "../../envs/scaling.yaml"
    params:
        settings=settings(config["scaling"]),
    shell:
        "python -m recscale.scaling.fit --curves {input.curves} --out {output}"
        " --settings {params.settings:q} > {log} 2>&1"
