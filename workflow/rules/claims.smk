"""Verdicts on the paper's claims, and the checks of its own arithmetic."""

# Evidence of the paper's own runs, and of these and the controls.
EVERY_RUN = list(EXPERIMENTS["runs"])
PAPER_RUNS = [run for run in EVERY_RUN if not EXPERIMENTS["runs"][run]["control"]]
# Figure 6 is about the training loss of these runs, whatever else was trained.
TRAINED = list(dict.fromkeys([*runs_of("fig6a"), *runs_of("fig6b")]))
# A run of the paper, or a control, stands with its seeds where the controls are asked for.
TRAINED_AND_SEEDS = [run for run in EVERY_RUN if run.split("-seed")[0] in TRAINED]
AUDITS = [f"{RESULTS}/audits/{audit}.csv" for audit in ["bias", "fidelity", "privacy"]]
# The run whose answers Section 8 is judged by: the largest model on the full mixture.
ANSWERING = "size4-full"
# The paper's own tables.
PUBLISHED = sorted(map(str, Path("paper/published").glob("*.csv")))
# Verdicts with the controls, shown where ours are open; none where no reference is committed.
REFERENCE_LEDGER = [
    ledger for ledger in [f"{REFERENCE}/claims/verdicts_controls.csv"] if Path(ledger).is_file()
]


rule claims:
    """A verdict on each claim of the paper, by the rule fixed in paper/claims.yaml."""
    input:
        claims="paper/claims.yaml",
        published="paper/published/claims.csv",
        experiments="config/experiments.yaml",
        ranks=RANKS,
        fits=expand(rules.fit.output[0], run=PAPER_RUNS),
        curves=expand(rules.cpt.output.curves, run=PAPER_RUNS),
        training=expand(rules.cpt.output.training, run=TRAINED),
        sweep=rules.walk_sweep.output[0],
        quality=QUALITY,
        generation=expand(rules.answers.output[0], run=ANSWERING),
        audits=AUDITS,
        reference=REFERENCE_LEDGER,
        code=code("claims.ledger"),
    output:
        report(
            f"{RESULTS}/claims/verdicts.csv",
            caption="../report/claims.rst",
            category="Claims",
            labels={"artefact": "claims", "rung": RUNG, "file": "csv"},
        ),
    log:
        f"logs/claims/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/claims.tsv"
    conda:
        "../../envs/scaling.yaml"
    params:
        rung=RUNG,
        window_length=config["curriculum"]["windows"]["length"],
        reference=lambda wildcards, input: (
            f"--reference {input.reference}" if input.get("reference") else ""
        ),
    shell:
        "python -m recscale.claims.ledger --claims {input.claims} --published {input.published}"
        " --experiments {input.experiments} --window-length {params.window_length}"
        " --ranks {input.ranks} --fits {input.fits} --curves {input.curves}"
        " --training {input.training} --sweep {input.sweep} --quality {input.quality}"
        " --generation {input.generation} --audits {input.audits} {params.reference}"
        " --rung {params.rung} --out {output} > {log} 2>&1"


use rule claims as claims_controls with:
    # The same with the controls: other seeds, and runs that the paper lacks. It shows no reference:
    # the reference's ledger is collected from here.
    input:
        claims="paper/claims.yaml",
        published="paper/published/claims.csv",
        experiments="config/experiments.yaml",
        ranks=RANKS,
        fits=expand(rules.fit.output[0], run=EVERY_RUN),
        curves=expand(rules.cpt.output.curves, run=EVERY_RUN),
        training=expand(rules.cpt.output.training, run=TRAINED_AND_SEEDS),
        sweep=rules.walk_sweep.output[0],
        quality=QUALITY,
        generation=expand(rules.answers.output[0], run=ANSWERING),
        audits=AUDITS,
        code=code("claims.ledger"),
    output:
        report(
            f"{RESULTS}/claims/verdicts_controls.csv",
            caption="../report/claims_controls.rst",
            category="Claims",
            labels={"artefact": "claims_controls", "rung": RUNG, "file": "csv"},
        ),
    log:
        f"logs/claims_controls/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/claims_controls.tsv"


rule verdicts:
    """The verdicts on one page."""
    input:
        verdicts=rules.claims.output[0],
        code=code("figures.verdicts"),
    output:
        **shown(figure("verdicts"), "verdicts", "Claims"),
    log:
        f"logs/verdicts/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/verdicts.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.verdicts --verdicts {input.verdicts}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule verdicts_controls:
    """The verdicts with the controls on one page."""
    input:
        verdicts=rules.claims_controls.output[0],
        code=code("figures.verdicts"),
    output:
        **shown(figure("verdicts_controls"), "verdicts_controls", "Claims"),
    log:
        f"logs/verdicts_controls/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/verdicts_controls.tsv"
    conda:
        "../../envs/paper.yaml"
    params:
        prefix=prefix,
        rung=RUNG,
        name=NAME,
    shell:
        "python -m recscale.figures.verdicts --target verdicts_controls"
        " --verdicts {input.verdicts}"
        " --rung {params.rung} --name {params.name} --out-prefix {params.prefix} > {log} 2>&1"


rule errata:
    """What the paper prints against what its own numbers give."""
    input:
        published=PUBLISHED,
        code=code("paper.errata"),
    output:
        report(
            "paper/ERRATA.md",
            caption="../report/errata.rst",
            category="Claims",
            labels={"artefact": "errata", "rung": "all", "file": "md"},
        ),
    log:
        f"logs/errata/{NAME}.log",
    conda:
        "../../envs/paper.yaml"
    params:
        published=lambda wildcards, input: str(Path(input.published[0]).parent),
    shell:
        "python -m recscale.paper.errata --published {params.published} --out {output}"
        " > {log} 2>&1"
