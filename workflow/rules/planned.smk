"""The graph of jobs and the settings that a plan is made of.

There are no rules here.
"""

import hashlib

from snakemake.output_index import OutputIndex

# Blocks of the config that a plan reads.
PLANNED = of(config, "data", "item_ids", "curriculum", "pretraining", "ranking")


def jobs_behind(files):
    """All jobs behind some files, by name. Those that differ in a shard's number alone are one."""
    producers = OutputIndex(workflow.rules)
    nodes, of_file = {}, {}

    def visit(file):
        if file not in of_file:
            of_file[file] = None
            for producer in producers.match_producers(file):
                if file in map(str, producer.benchmark or []):
                    continue
                wildcards = producer.get_wildcards(file)
                named = {k: v for k, v in wildcards.items() if not v.isdigit()}
                shard = tuple(v for v in wildcards.values() if v.isdigit())
                name = " ".join([producer.name, *named.values()])
                of_file[file] = name
                node = nodes.setdefault(
                    name,
                    {"rule": producer.name, "wildcards": named, "shards": set(), "needs": set()},
                )
                if shard not in node["shards"]:
                    node["shards"].add(shard)
                    needs = map(visit, map(str, producer.expand_input(wildcards)[0]))
                    node["needs"].update(need for need in needs if need and need != name)
        return of_file[file]

    for file in files:
        visit(str(file))
    return {
        name: {
            **of(node, "rule", "wildcards"),
            "jobs": len(node["shards"]),
            "needs": sorted(node["needs"]),
        }
        for name, node in nodes.items()
    }, of_file


def asked_by(name):
    """GPUs, threads and minutes that the profile has a job ask for."""
    asked = workflow.resource_settings.overwrite_resources.get(name, {})
    # A value of a profile is kept as the expression it was written as.
    said = {key: str(asked[key].raw) for key in asked}
    threads = workflow.resource_settings.overwrite_threads.get(name, 1)
    cards = said.get("gpus", said.get("gres", "0")).strip("\"'").split(":")[-1]
    minutes = said.get("runtime", "")
    return {
        "gpus": int(cards) if cards.isdigit() else 0,
        "threads": threads if isinstance(threads, int) else 1,
        "minutes": float(minutes) if minutes.isdigit() else None,
    }


def plan_request(wildcards):
    """Settings of the plan: see recscale.budget.request."""
    everything = [*rules.all_controls.input]
    nodes, of_file = jobs_behind(everything)
    made_by = {str(file): of_file[str(file)] for file in everything}
    wanted = {
        "all": sorted({made_by[str(file)] for file in rules.all.input}),
        "all_controls": sorted(set(made_by.values())),
    }
    names = [*TABLES, *FIGURES, *CONTROL_TABLES, *CONTROL_FIGURES]
    shown = [name for name in names if name in nodes]
    return settings(
        name=NAME,
        rung=RUNG,
        config=PLANNED,
        runs=EXPERIMENTS["runs"],
        nodes=nodes,
        artefacts=shown,
        targets=wanted,
        resources={name: asked_by(name) for name in sorted({n["rule"] for n in nodes.values()})},
        hardware=yaml.safe_load((ROOT / "config/hardware.yaml").read_text()),
    )


def benchmarks_seen(wildcards):
    """A hash of the benchmark files there are. As inputs they would be made: they are outputs."""
    there = sorted(Path(RESULTS, "benchmarks").glob("*.tsv"))
    return hashlib.sha256("".join(f.name + f.read_text() for f in there).encode()).hexdigest()
