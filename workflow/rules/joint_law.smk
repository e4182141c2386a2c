"""Section 7.3: the joint law of size and tokens, the compute frontier, forecasts; and repetition.

Figure 8 needs the paper's own runs. The rest needs controls: runs of several lengths for the joint
law, runs whose UIH does not repeat for the worth of repeats (target all_controls).
"""

# Runs of one seed and mixture whose end points span sizes and lengths.
OF_SEVERAL_LENGTHS = [name for name, run in EXPERIMENTS["runs"].items() if run["schedule"] == "wsd"]
# Runs of one size and seed that differ in how often they repeat UIH, controls among them.
THAT_REPEAT = list(
    dict.fromkeys(
        run
        for artefact in ["table5", "table6", "fig4_controls"]
        for run in runs_of(artefact)
        if EXPERIMENTS["mixtures"][EXPERIMENTS["runs"][run]["mixture"]]["uih"]
    )
)
COSTS = settings(sizes=SIZES, length=config["curriculum"]["windows"]["length"])
COUNTINGS = ["non_embedding_parameters", "parameters"]


rule end_points:
    """What the runs of several lengths cost, and the losses they ended with."""
    input:
        curves=expand(rules.cpt.output.curves, run=OF_SEVERAL_LENGTHS),
        manifests=expand(rules.cpt.output.manifest, run=OF_SEVERAL_LENGTHS),
        tokenizer=tokenizer_of(IDS)[-1],
        code=code("scaling.collect"),
    output:
        f"{RESULTS}/scaling/joint/points.csv",
    log:
        f"logs/end_points/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/end_points.tsv"
    conda:
        "../../envs/scaling.yaml"
    params:
        pool=config["scaling"]["pool"],
        settings=COSTS,
    shell:
        "python -m recscale.scaling.collect --curves {input.curves} --manifests {input.manifests}"
        " --tokenizer {input.tokenizer} --mixture full --pool {params.pool} --out {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule joint_laws:
    """L(N, D) = E + A N^-alpha + B D^-beta of each domain, which `scaling.forecast` reads."""
    input:
        points=rules.end_points.output[0],
        code=code("scaling.joint_law"),
    output:
        f"{RESULTS}/scaling/joint/laws.json",
    log:
        f"logs/joint_laws/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/joint_laws.tsv"
    conda:
        "../../envs/scaling.yaml"
    params:
        seed=SEED,
        countings=COUNTINGS,
    shell:
        "python -m recscale.scaling.joint_law --points {input.points}"
        " --counting {params.countings} --seed {params.seed} --out {output} > {log} 2>&1"


rule repetition_laws:
    """What repeated UIH tokens are worth, from runs that repeat the set more or less often."""
    input:
        curves=expand(rules.cpt.output.curves, run=THAT_REPEAT),
        code=code("scaling.repetition"),
    output:
        f"{RESULTS}/scaling/repetition.json",
    log:
        f"logs/repetition_laws/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/repetition_laws.tsv"
    conda:
        "../../envs/scaling.yaml"
    params:
        settings=settings(of(config["scaling"], "burn_in", "pool")),
    shell:
        "python -m recscale.scaling.repetition --curves {input.curves} --out {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule fig8:
    """Held-out perplexity against training compute, four sizes, seven domains."""
    input:
        curves=of_runs("curves", "fig8"),
        manifests=of_runs("manifest", "fig8"),
        tokenizer=tokenizer_of(IDS)[-1],
        code=code("figures.fig8"),
    output:
        **shown(figure("fig8"), "fig8", "Figures"),
    log:
        f"logs/fig8/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig8.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
        settings=COSTS,
    shell:
        "python -m recscale.figures.fig8 --curves {input.curves} --manifests {input.manifests}"
        " --tokenizer {input.tokenizer} --settings {params.settings:q}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule fig8_frontier:
    """Figure 8 with the frontier of the joint law, where it is identified."""
    input:
        curves=of_runs("curves", "fig8"),
        manifests=of_runs("manifest", "fig8"),
        tokenizer=tokenizer_of(IDS)[-1],
        laws=rules.joint_laws.output[0],
        code=code("figures.fig8"),
    output:
        **shown(figure("fig8_frontier"), "fig8_frontier", "Figures"),
    log:
        f"logs/fig8_frontier/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/fig8_frontier.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
        settings=COSTS,
    shell:
        "python -m recscale.figures.fig8 --target fig8_frontier --curves {input.curves}"
        " --manifests {input.manifests} --tokenizer {input.tokenizer} --laws {input.laws}"
        " --settings {params.settings:q}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule joint_law:
    """The joint laws over tokens, and along lines of equal compute."""
    input:
        laws=rules.joint_laws.output[0],
        code=code("figures.joint_law"),
    output:
        **shown(figure("joint_law"), "joint_law", "Figures"),
    log:
        f"logs/joint_law/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/joint_law.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.joint_law --laws {input.laws}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule forecast_seen:
    """Forecasts from shorter or smaller runs against what the others ended with."""
    input:
        points=rules.end_points.output[0],
        code=code("figures.forecast_seen"),
    output:
        **shown(figure("forecast_seen"), "forecast_seen", "Figures"),
    log:
        f"logs/forecast_seen/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/forecast_seen.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.forecast_seen --points {input.points}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule repetition:
    """Last UIH losses over the tokens seen and those that count."""
    input:
        laws=rules.repetition_laws.output[0],
        code=code("figures.repetition"),
    output:
        **shown(figure("repetition"), "repetition", "Figures"),
    log:
        f"logs/repetition/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/repetition.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.repetition --laws {input.laws}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"
