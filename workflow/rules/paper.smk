"""The paper itself, and all of it together."""

TABLES = [
    "table1",
    "table2",
    "table3",
    "table4",
    "table5",
    "table6",
    "table7",
    "table8",
    "table9",
    "item_id_methods",
    "ranking_strata",
    "generation",
    "next_item_recall",
    "privacy",
]
FIGURES = [
    "fig1",
    "fig2",
    "fig3",
    "fig4",
    "fig5",
    "fig6",
    "fig7",
    "fig8",
    "fig9",
    "fig10",
    "fig11",
    "fig12",
    "fidelity",
    "verdicts",
]


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
        rules.errata.output,
        rules.paper.output,


rule all_controls:
    """The paper's artefacts and the controls that it lacks: ranking arms, runs and their fits."""
    input:
        rules.all.input,
        rules.ranking_controls.output,
        rules.pretraining_controls.output,
        rules.fig4_controls.output,
        rules.true_preference.output,
        rules.fig8_frontier.output,
        rules.joint_law.output,
        rules.forecast_seen.output,
        rules.repetition.output,
        rules.claims_controls.output,
        rules.verdicts_controls.output,
        rules.scaling_rivals.input,
        rules.scaling_seeds.input,
        expand(
            rules.fit.output[0],
            run=[name for name, run in EXPERIMENTS["runs"].items() if run["control"]],
        ),
