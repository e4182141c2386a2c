"""Sections 6.2, 7.1 and 7.2: headline claims under every recipe of fitting."""

SPECIFIED = list(
    dict.fromkeys(
        run for artefact in ["table4", "table6", "fig3", "fig7"] for run in runs_of(artefact)
    )
)


rule specifications:
    """The quantities of headline claims under all combinations of burn-in, range, law and so on."""
    input:
        curves=expand(rules.cpt.output.curves, run=SPECIFIED),
        training=expand(rules.cpt.output.training, run=SPECIFIED),
        code=code("scaling.specification"),
    output:
        f"{RESULTS}/scaling/specification.csv",
    log:
        f"logs/specifications/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/specifications.tsv"
    conda:
        "../../envs/scaling.yaml"
    params:
        settings=settings(config["scaling"]),
    shell:
        "python -m recscale.scaling.specification --curves {input.curves}"
        " --training {input.training} --out {output} --settings {params.settings:q} > {log} 2>&1"


rule specification:
    """One specification curve for each quantity, with the choices behind every estimate."""
    input:
        specifications=rules.specifications.output[0],
        code=code("figures.specification"),
    output:
        **shown(figure("specification"), "specification", "Figures"),
    log:
        f"logs/specification/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/specification.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.specification --specifications {input.specifications}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"
