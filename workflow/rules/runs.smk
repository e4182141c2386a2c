"""What base models and the runs of config/experiments.yaml read, and their settings.

There are no rules here.
"""

PRETRAINING = config["pretraining"]
SIZES = PRETRAINING["sizes"]
# What settings leave out: other stages', or chosen by size or by run.
NOT_COMMON = [
    "sizes",
    "base",
    "cpt",
    "evaluations",
    "processes",
    "windows_at_once",
    "sharding",
    "generation",
]


include: "site.smk"


def base_windows(wildcards):
    """General text for a base model; none where the size starts from a published checkpoint."""
    if SIZES[wildcards.size]["checkpoint"]:
        return []
    return [*training_windows_of(IDS, ["base"]), *held_out_windows_of(IDS, ["general"])]


def common_settings(role):
    """Settings that a base model and the runs of one size have in common."""
    return {
        **but(PRETRAINING, *[key for key in NOT_COMMON if key in PRETRAINING]),
        "seed": SEED,
        "model": SIZES[role],
        "windows_at_once": PRETRAINING["windows_at_once"][role],
        "sharding": PRETRAINING["sharding"][role],
    }


def base_settings(wildcards):
    """Settings of a base model."""
    return settings(common_settings(wildcards.size), PRETRAINING["base"])


def run_settings(wildcards):
    """Settings of a run of config/experiments.yaml on this rung."""
    size = EXPERIMENTS["runs"][wildcards.run]["size"]
    return settings(common_settings(size), settings_of_run(wildcards.run))


def settings_of_run(name):
    """The settings in which the runs of one size differ."""
    run = EXPERIMENTS["runs"][name]
    others = EXPERIMENTS["runs"].values()
    return {
        **PRETRAINING["cpt"],
        **of(run, "size", "uih", "order", "schedule", "horizon"),
        "evaluations": PRETRAINING["evaluations"],
        "mixture": EXPERIMENTS["mixtures"][run["mixture"]],
        "run_seed": run["seed"],
        "branches": [other["horizon"] for other in others if other["trunk"] == name],
    }


def ids_of_run(run):
    """The method of the ids that a run's text is written in."""
    method = EXPERIMENTS["runs"][run]["item_ids"]
    return IDS if method == "configured" else method


def windows_of_run(wildcards):
    """The training windows that a run reads."""
    return windows_by_name(wildcards.run)


def windows_by_name(name):
    """The same, by the run's name; real and rewired sets are cut to the walks' size."""
    run = EXPERIMENTS["runs"][name]
    shares = EXPERIMENTS["mixtures"][run["mixture"]]
    domains = [domain for domain in TRAINING_DOMAINS if shares[domain]]
    if shares["uih"] and run["uih"] not in ["full", "reduced"]:
        domains.append(f"uih_{run['uih']}")
    return training_windows_of(ids_of_run(name), domains)


def trunk_of(run):
    """The manifest of the WSD run that a run starts from; none for most."""
    trunk = EXPERIMENTS["runs"][run]["trunk"]
    return rules.cpt.output.manifest.format(run=trunk) if trunk else []


def runs_of_size(wildcards):
    """The runs of a size, in the order in which they can be trained."""
    runs = EXPERIMENTS["runs"].items()
    return [name for name, run in runs if run["size"] == wildcards.size]


def what_runs_of_size_read(wildcards):
    """All that the base model and the runs of a size are trained on."""
    read = [*base_windows(wildcards), *tokenizer_of(IDS)]
    for run in runs_of_size(wildcards):
        ids = ids_of_run(run)
        read += [
            *windows_by_name(run),
            *held_out_windows_of(ids, ALL_HELD_OUT),
            *tokenizer_of(ids),
            f"{RESULTS}/item_ids/{ids}.parquet",
        ]
    return list(dict.fromkeys(read))


def plan_settings(wildcards):
    """The plan of a size: settings and paths of its base model and of its runs.

    What trainings write is named below the folder of results.
    """
    base = base_windows(wildcards)
    runs = {
        name: {
            "ids": ids_of_run(name),
            **of(EXPERIMENTS["runs"][name], "trunk", "control"),
            "settings": settings_of_run(name),
        }
        for name in runs_of_size(wildcards)
    }
    return settings(
        size=wildcards.size,
        results=RESULTS,
        common=common_settings(wildcards.size),
        base=PRETRAINING["base"],
        base_paths={
            "windows": base[0] if base else None,
            "held_out": base[2] if base else None,
            "tokenizer": f"{RESULTS}/tokenizer/{IDS}",
            "checkpoints": f"pretraining/base/{wildcards.size}-checkpoints",
            "folder": f"pretraining/base/{wildcards.size}",
            "manifest": f"pretraining/base/{wildcards.size}.json",
            "training": f"pretraining/base/{wildcards.size}-training.parquet",
        },
        runs=runs,
        run_paths={
            "base": f"pretraining/base/{wildcards.size}.json",
            "windows": f"{RESULTS}/windows/{{ids}}/train",
            "held_out": f"{RESULTS}/windows/{{ids}}/held_out",
            "item_ids": f"{RESULTS}/item_ids/{{ids}}.parquet",
            "tokenizer": f"{RESULTS}/tokenizer/{{ids}}",
            "trunk": "pretraining/{trunk}/manifest.json",
            "checkpoints": "pretraining/{run}/checkpoints",
            "folder": "pretraining/{run}/model",
            "curves": "pretraining/{run}/curves.parquet",
            "training": "pretraining/{run}/training.parquet",
            "manifest": "pretraining/{run}/manifest.json",
        },
    )
