"""What a rung costs before it is run, and how that compares with what it then used."""


include: "planned.smk"


localrules:
    plan_table,
    plan,
    plan_seen_table,
    plan_seen,


# These rules run, as `run`, where Snakemake itself does: a plan comes before any environment is made.
rule plan_table:
    """FLOPs, GPU-hours, memory, disk, cost and time, from the config and the graph of jobs alone."""
    input:
        hardware="config/hardware.yaml",
        code=code("budget.plan"),
    output:
        csv=report(
            f"{RESULTS}/plan/plan.csv",
            caption="../report/plan.rst",
            category="Plan",
            labels={"artefact": "plan", "rung": RUNG, "file": "csv"},
        ),
        page=f"{RESULTS}/plan/plan.md",
        request=f"{RESULTS}/plan/request.json",
    log:
        f"logs/plan_table/{NAME}.log",
    params:
        settings=plan_request,
    run:
        # The jobs of a rung are more than a command line may hold.
        Path(output.request).write_text(params.settings)
        shell(
            "python -m recscale.budget.plan --request {output.request} --csv {output.csv}"
            " --page {output.page} > {log} 2>&1"
        )


rule plan:
    """Print the plan."""
    input:
        rules.plan_table.output.page,
    log:
        f"logs/plan/{NAME}.log",
    run:
        shell("cat {input} | tee {log}")


rule plan_seen_table:
    """Seconds and FLOP/s that were planned against those of the jobs that have run, with the error."""
    input:
        request=rules.plan_table.output.request,
        code=code("budget.seen"),
    output:
        csv=report(
            f"{RESULTS}/plan/seen.csv",
            caption="../report/plan_seen.rst",
            category="Plan",
            labels={"artefact": "plan_seen", "rung": RUNG, "file": "csv"},
        ),
        page=f"{RESULTS}/plan/seen.md",
    log:
        f"logs/plan_seen_table/{NAME}.log",
    params:
        benchmarks=lambda wildcards, output: str(Path(output.csv).parents[1] / "benchmarks"),
        results=lambda wildcards, output: str(Path(output.csv).parents[1]),
        seen=benchmarks_seen,
    run:
        shell(
            "python -m recscale.budget.seen --request {input.request}"
            " --benchmarks {params.benchmarks} --results {params.results} --csv {output.csv}"
            " --page {output.page} > {log} 2>&1"
        )


rule plan_seen:
    """Print what was planned against what was then used."""
    input:
        rules.plan_seen_table.output.page,
    log:
        f"logs/plan_seen/{NAME}.log",
    run:
        shell("cat {input} | tee {log}")
