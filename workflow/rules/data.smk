"""Sections 3 and 6.1: the log, its items, the real histories, and the splits of time and items."""

DATA = config["data"]
GENERAL = config["curriculum"]["general"]
WORLD = f"{RESULTS}/world"
# Where downloads go, and where a rung without one would put them.
LOG_FOLDER = DATA["folder"] or "data/log"
GENERAL_FOLDER = GENERAL["folder"] or "data/general"


rule download:
    """The log's shards from Hugging Face, resumed and checked."""
    input:
        code=code("data.download"),
    output:
        f"{LOG_FOLDER}/manifest.json",
    log:
        f"logs/download/{NAME}.log",
    conda:
        "../../envs/data.yaml"
    params:
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        settings=settings(DATA["download"] or {}),
    shell:
        "python -m recscale.data.download --folder {params.folder} --manifest {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule download_general_text:
    """General text from Hugging Face, resumed and checked."""
    input:
        code=code("data.download"),
    output:
        f"{GENERAL_FOLDER}/manifest.json",
    log:
        f"logs/download_general_text/{NAME}.log",
    conda:
        "../../envs/data.yaml"
    params:
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        settings=settings(GENERAL["download"] or {}),
    shell:
        "python -m recscale.data.download --folder {params.folder} --manifest {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule software_heritage:
    """The texts of python-edu, whose shards name files in the archive of Software Heritage."""
    input:
        metadata=general_text_there,
        code=code("data.software_heritage"),
    output:
        f"{GENERAL_FOLDER}/python-edu-text/manifest.json",
    log:
        f"logs/software_heritage/{NAME}.log",
    conda:
        "../../envs/data.yaml"
    params:
        metadata=lambda wildcards, output: str(Path(output[0]).parents[1] / "python-edu"),
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        settings=settings(GENERAL["software_heritage"] or {}),
    shell:
        "python -m recscale.data.software_heritage --metadata {params.metadata}"
        " --folder {params.folder} --manifest {output}"
        " --settings {params.settings:q} > {log} 2>&1"


rule world:
    """A simulated marketplace in MerRec's schema, with the truth beside the log."""
    input:
        code=code("data.world"),
    output:
        f"{WORLD}/manifest.json",
    log:
        f"logs/world/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/world.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        settings=settings(DATA["world"] or {}, seed=SEED),
    shell:
        "python -m recscale.data.world --folder {params.folder}"
        " --settings {params.settings:q} > {log} 2>&1"


rule data:
    """Read the log of the rung and split it, by time first, then by item."""
    input:
        source=log_of_the_rung,
        code=code("data.prepare"),
    output:
        item_table=f"{RESULTS}/data/items.parquet",
        events=f"{RESULTS}/data/events.parquet",
        histories=f"{RESULTS}/data/histories.parquet",
        card=f"{RESULTS}/data/card.json",
    log:
        f"logs/data/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/data.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        settings=settings(
            but(DATA, "download", "world"),
            seed=SEED,
            folder=WORLD if DATA["source"] == "world" else DATA["folder"],
        ),
    shell:
        "python -m recscale.data.prepare --items {output.item_table} --events {output.events}"
        " --histories {output.histories} --card {output.card}"
        " --settings {params.settings:q} > {log} 2>&1"


rule exposure:
    """What the stores of The Complete Journey displayed and mailed."""
    input:
        code=code("data.exposure"),
    output:
        exposure=f"{RESULTS}/data/exposure.parquet",
        card=f"{RESULTS}/data/exposure.json",
    log:
        f"logs/exposure/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/exposure.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        settings=settings(of(DATA, "source", "folder", "memory_limit")),
    shell:
        "python -m recscale.data.exposure --exposure {output.exposure} --card {output.card}"
        " --settings {params.settings:q} > {log} 2>&1"
