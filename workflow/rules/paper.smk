"""The paper itself, without the controls and with them, and all of it together."""

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
# What needs runs that the paper lacks, or says more about its laws than it does.
CONTROL_TABLES = [
    "ranking_controls",
    "pretraining_controls",
    "table4_seeds",
    "rival_laws",
]
CONTROL_FIGURES = [
    "true_preference",
    "fig4_controls",
    "residuals",
    "joint_law",
    "fig8_frontier",
    "forecast_seen",
    "repetition",
    "specification",
    "verdicts_controls",
]
TYPST = sorted(map(str, [*Path("paper").glob("*.typ"), *Path("paper/sections").glob("*.typ")]))


rule paper:
    """The compiled paper: method as built, every artefact beside the paper's, every verdict."""
    input:
        main="paper/main.typ",
        parts=TYPST,
        card=rules.data.output.card,
        tables=[table(name)["csv"] for name in TABLES],
        figures=[figure(name)[kind] for name in FIGURES for kind in ["pdf", "csv"]],
        verdicts=rules.claims.output[0],
        manifests=of_runs("manifest", "fig2"),
        published=PUBLISHED,
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
        commit=lambda wildcards, output: commit(),
        artefacts=lambda wildcards, output: str(Path(output[0]).parent),
        published=lambda wildcards, input: str(Path(input.published[0]).parent),
        controls=lambda wildcards, input: (
            f"--verdicts-controls {input.verdicts_controls}"
            if input.get("verdicts_controls")
            else ""
        ),
        settings=settings(
            of(config, "data", "item_ids", "curriculum", "pretraining", "ranking", "scaling")
        ),
    shell:
        "python -m recscale.paper.compile --main {input.main} --name {params.name}"
        " --rung {params.rung} --commit={params.commit:q} --artefacts {params.artefacts}"
        " --verdicts {input.verdicts} {params.controls} --card {input.card}"
        " --manifests {input.manifests} --published {params.published}"
        " --settings {params.settings:q} --out {output} > {log} 2>&1"


use rule paper as paper_controls with:
    # The same with a part on the controls, and led by the verdicts that they decide.
    input:
        main="paper/main.typ",
        parts=TYPST,
        card=rules.data.output.card,
        tables=[table(name)["csv"] for name in [*TABLES, *CONTROL_TABLES]],
        figures=[
            figure(name)[kind] for name in [*FIGURES, *CONTROL_FIGURES] for kind in ["pdf", "csv"]
        ],
        verdicts=rules.claims.output[0],
        verdicts_controls=rules.claims_controls.output[0],
        manifests=of_runs("manifest", "fig2"),
        published=PUBLISHED,
        code=code("paper.compile"),
    output:
        report(
            f"{PAPER}/paper_controls.pdf",
            caption="../report/paper_controls.rst",
            category="Paper",
            labels={"artefact": "paper_controls", "rung": RUNG, "file": "pdf"},
        ),
    log:
        f"logs/paper_controls/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/paper_controls.tsv"


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
        [path for name in CONTROL_TABLES for path in table(name).values()],
        [path for name in CONTROL_FIGURES for path in figure(name).values()],
        rules.claims_controls.output,
        rules.paper_controls.output,
        expand(
            rules.fit.output[0],
            run=[name for name, run in EXPERIMENTS["runs"].items() if run["control"]],
        ),
