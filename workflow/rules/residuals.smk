"""Section 6.2: what the laws of Table 4 leave of the loss."""


rule residuals:
    """Residuals of Table 4's laws over tokens, by domain and size."""
    input:
        residuals=expand(rules.fit.output.residuals, run=runs_of("table4")),
        fits=fits_of("table4"),
        manifests=of_runs("manifest", "table4"),
        code=code("figures.residuals"),
    output:
        **shown(figure("residuals"), "residuals", "Figures"),
    log:
        f"logs/residuals/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/residuals.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.residuals --residuals {input.residuals} --fits {input.fits}"
        " --manifests {input.manifests}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"
