"""Where the rules find their inputs, settings and the names of their outputs.

There are no rules here.
"""

import math

RULES = config["curriculum"]["rules"]
WALKS = config["curriculum"]["walks"]
# A set of walks, the graph it walks on, and what it is for.
GRAPH_OF = {
    "train": "train",  # the UIH training domain
    "uih_fresh": "train",  # its control: walks that no run sees twice
    "uih_rewired": "rewired",  # its control: popularity and nothing else
    "uih_ood": "held_out",  # held-out UIH on unseen edges
    "uih_full_graph": "full",  # held-out UIH on all edges
    "ranking": "train",  # the TSTR arm of Figure 1
    "rewired": "rewired",  # the control of that arm
}
HOW_TO_WALK = but(WALKS, *GRAPH_OF, "sweep", "shards")
# Controls show as many windows as `uih` has; rewired walks may be shorter.
TO_SPARE = 1.1
# The walks whose place real histories take.
WALKS_OF = {"train": "train", "held_out": "uih_full_graph"}


def files_in(folder, pattern):
    """The files of a folder outside the repository, as inputs: a changed log reruns its readers.

    A folder that is missing gives none; the command that reads it says so in one line.
    """
    return sorted(map(str, Path(folder).rglob(pattern))) if folder else []


def log_of_the_rung(wildcards):
    """What the log is read from: a simulated world, a download, or the files of a folder."""
    if DATA["source"] == "world":
        return rules.world.output[0]
    if DATA["download"]:
        return rules.download.output[0]
    return files_in(DATA["folder"], "*.parquet")


def general_text_there(wildcards):
    """General text's shards: a download, or the files of a folder."""
    if GENERAL["download"]:
        return rules.download_general_text.output[0]
    return files_in(GENERAL["folder"], "*.parquet")


def general_text_source(wildcards):
    """What general text is read from; the text of packages changes with the packages."""
    if GENERAL["source"] == "packages":
        return "envs/curriculum.yaml"
    archive = rules.software_heritage.output if GENERAL["software_heritage"] else []
    there = general_text_there(wildcards)
    return [*archive, *([there] if isinstance(there, str) else there)]


def source_of(domain, part):
    """The table that a domain's sentences are made of, or its shards."""
    if domain == "general":
        return rules.general_text.output.documents
    if domain == "item_text":
        return rules.data.output.item_table
    if domain.startswith("cf"):
        return rules.association_rules.output.rules
    if domain in ["uih_real", "real_histories"]:
        return f"{RESULTS}/real_histories/{part}.parquet"
    return walk_shards("train" if domain == "uih" else domain)


def number_of_walks(stream):
    """How many walks a set has."""
    if stream == "uih_rewired":
        return math.ceil(TO_SPARE * WALKS["train"])
    return WALKS["ranking" if stream == "rewired" else stream]


def number_of_real_histories(part):
    """How many stretches of real histories stand in the place of walks."""
    spare = TO_SPARE if part == "train" else 1
    return math.ceil(spare * WALKS[WALKS_OF[part]])


def walk_shards(stream):
    """The shards of a set of walks, in order."""
    return [
        f"{RESULTS}/walks/{stream}/{shard}.parquet"
        for shard in range(config["curriculum"]["walks"]["shards"])
    ]


def item_id_settings():
    """What the methods of semantic ids are compared in: a method and its part of the config."""
    block = of(ITEM_ID_CONFIG, "fit_items", "sae", "rq", "rq_vae")
    shape = "{layers}x{codes}".format(**block["rq"])
    found = {method: {"method": method, **block} for method in ["sae", "sae_general"]}
    for layers, codes in COMPARISON["rq_settings"]:
        rq = {**block["rq"], "layers": layers, "codes": codes}
        found[f"rq_kmeans-{layers}x{codes}"] = {"method": "rq_kmeans", **block, "rq": rq}
    for name, cures in {"cured": True, "plain": False}.items():
        rq_vae = {**block["rq_vae"], "cures": cures}
        found[f"rq_vae-{shape}-{name}"] = {"method": "rq_vae", **block, "rq_vae": rq_vae}
    return found


def rec_tokens(method):
    """How many REC tokens the ids of a method are made of."""
    rq = ITEM_ID_CONFIG["rq"]
    is_sae = method in ["sae", "sae_general"]
    return ITEM_ID_CONFIG["sae"]["latents"] if is_sae else rq["layers"] * rq["codes"]


def tokenizer_of(ids):
    """The files of the tokenizer for the ids of a method."""
    names = ["tokenizer.json", "tokenizer_config.json", "manifest.json"]
    return [f"{RESULTS}/tokenizer/{ids}/{name}" for name in names]


def token_shards(wildcards):
    """General text's tokens and offsets, shard by shard, where several jobs make them."""
    part = {"base": "base", "general": "train"}.get(wildcards.domain)
    if part is None or GENERAL["shards"] == 1:
        return []
    made = rules.token_shard.output
    return [
        file.format(ids=wildcards.ids, part=part, shard=shard)
        for shard in range(GENERAL["shards"])
        for file in [made.tokens, made.offsets]
    ]


def training_windows_of(ids, domains):
    """Windows and manifest of each of some training domains, written in the ids of a method."""
    return windows_files(f"{RESULTS}/windows/{ids}/train", domains)


def held_out_windows_of(ids, domains):
    """The same of held-out domains."""
    return windows_files(f"{RESULTS}/windows/{ids}/held_out", domains)


def windows_files(folder, domains):
    """Windows and manifest of each domain, one after the other."""
    return [f"{folder}/{domain}.{kind}" for domain in domains for kind in ["npy", "json"]]


def general_embeddings(wildcards):
    """General text's vectors, for the method that is trained on them."""
    name = wildcards.get("method", wildcards.get("setting"))
    return rules.text_embeddings.output[0] if name == "sae_general" else []


def general_embeddings_option(wildcards, input):
    """The flag that names them."""
    return f"--general-embeddings {input.general}" if input.general else ""


def rewired_walks(wildcards):
    """The walks of the rewired graph, for the arm that trains on them."""
    return walk_shards("rewired") if wildcards.arm == "tstr_rewired" else []


def rewired_walks_option(wildcards, input):
    """The flag that names them."""
    return f"--rewired-walks {input.rewired}" if input.rewired else ""


def trial_settings():
    """Settings of a world trial: the marketplace's size, and how its log is mined and walked on."""
    mining = but(RULES, "jobs", "existing", "min_support", "min_users")
    walks = {**HOW_TO_WALK, "seed": SEED, "walks": TRIALS["walks"]}
    arms = {**HOW_TO_RANK, "seeds": TRIALS["seeds"], "examples": TRIALS["examples"]}
    return settings(
        seed=SEED,
        world=of(TRIALS, "users", "items", "events", "months"),
        held_out_items=DATA["held_out_items"],
        rules={**mining, "min_support": TRIALS["min_support"], "min_users": TRIALS["min_support"]},
        walks=walks,
        models=["GRU4Rec"],
        ranking={**arms, "min_item_count": 1, "cutoffs": [10, 100], "seed": SEED, "threads": 1},
    )


def training_windows_settings(domain):
    """Settings of a training domain's windows: how many sentences it may show."""
    text = config["curriculum"]["text"]
    limits = {"cf": text["cf_statements"], "item_text": text["item_texts"]}
    return settings(
        seed=SEED,
        length=config["curriculum"]["windows"]["length"],
        packing=config["curriculum"]["windows"]["packing"],
        wordings=text["wordings"],
        sentences=limits.get(domain),
        tokens=None,
    )


def of_runs(kind, artefact):
    """The files of one kind (curves, training, manifest) of the runs that an artefact draws."""
    return expand(rules.cpt.output[kind], run=runs_of(artefact))


def fits_of(artefact):
    """The fits of the runs that an artefact draws."""
    return expand(rules.fit.output[0], run=runs_of(artefact))


def curves_of_all_seeds(wildcards):
    """The curves of a run and of the runs that differ from it in their seed alone."""
    runs = {name: but(run, "seed", "control") for name, run in EXPERIMENTS["runs"].items()}
    seeds = [name for name, run in runs.items() if run == runs[wildcards.run]]
    return expand(rules.cpt.output.curves, run=seeds)


def table(name):
    """The files of a table: its numbers and a LaTeX fragment."""
    return {kind: f"{PAPER}/tables/{name}.{kind}" for kind in ["csv", "tex"]}


def figure(name):
    """The files of a figure: two drawings, the numbers drawn and a LaTeX fragment."""
    return {kind: f"{PAPER}/figures/{name}.{kind}" for kind in ["svg", "pdf", "csv", "tex"]}


def shown(files, name, category):
    """The files of an artefact with a caption in the report; LaTeX fragments are left out."""
    return {
        kind: (
            file
            if kind == "tex"
            else report(
                file,
                caption=f"../report/{name}.rst",
                category=category,
                labels={"artefact": name, "rung": RUNG, "file": kind},
            )
        )
        for kind, file in files.items()
    }


def prefix(wildcards, output):
    """What an artefact's files have in common; the command adds .csv, .tex, .svg and .pdf."""
    return output.csv.removesuffix(".csv")
