"""Sections 4.2 and 6.1: general text, the tokenizer, and the packed windows of all domains."""


rule general_text:
    """General text and its split into base, training and held-out documents."""
    input:
        source=general_text_source,
        code=code("curriculum.general_text"),
    output:
        documents=f"{RESULTS}/general/documents.parquet",
        manifest=f"{RESULTS}/general/manifest.json",
    log:
        f"logs/general_text/{NAME}.log",
    benchmark:
        f"{RESULTS}/benchmarks/general_text.tsv"
    conda:
        "../../envs/curriculum.yaml"
    params:
        settings=settings(but(GENERAL, "download", "software_heritage"), seed=SEED),
    shell:
        "python -m recscale.curriculum.general_text --documents {output.documents}"
        " --manifest {output.manifest} --settings {params.settings:q} > {log} 2>&1"


rule tokenizer:
    """The tokenizer, with a token for every code of a semantic id."""
    input:
        documents=rules.general_text.output.documents,
        item_table=rules.data.output.item_table,
        code=code("curriculum.tokenizer"),
    output:
        tokenizer_of("{ids}"),
    log:
        f"logs/tokenizer/{NAME}-{{ids}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/tokenizer-{{ids}}.tsv"
    wildcard_constraints:
        ids="|".join(METHODS),
    conda:
        "../../envs/curriculum.yaml"
    params:
        folder=lambda wildcards, output: str(Path(output[0]).parent),
        settings=lambda wildcards: settings(
            config["curriculum"]["tokenizer"], rec_tokens=rec_tokens(wildcards.ids)
        ),
    shell:
        "python -m recscale.curriculum.tokenizer --documents {input.documents}"
        " --items {input.item_table} --tokenizer {params.folder}"
        " --settings {params.settings:q} > {log} 2>&1"


rule training_windows:
    """One training domain or control, packed; `base` is the general text that base models see."""
    input:
        source=lambda wildcards: source_of(wildcards.domain.replace("base", "general"), "train"),
        item_ids=f"{RESULTS}/item_ids/{{ids}}.parquet",
        tokenizer=rules.tokenizer.output,
        code=code("curriculum.windows"),
    output:
        windows=f"{RESULTS}/windows/{{ids}}/train/{{domain}}.npy",
        manifest=f"{RESULTS}/windows/{{ids}}/train/{{domain}}.json",
    log:
        f"logs/training_windows/{NAME}-{{ids}}-{{domain}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/training_windows-{{ids}}-{{domain}}.tsv"
    wildcard_constraints:
        ids="|".join(METHODS),
    conda:
        "../../envs/curriculum.yaml"
    params:
        domain=lambda wildcards: wildcards.domain.replace("base", "general"),
        part=lambda wildcards: "base" if wildcards.domain == "base" else "train",
        settings=lambda wildcards: training_windows_settings(wildcards.domain),
    shell:
        "python -m recscale.curriculum.windows --domain {params.domain} --part {params.part}"
        " --source {input.source} --item-ids {input.item_ids}"
        " --tokenizer $(dirname {input.tokenizer[0]}) --windows {output.windows}"
        " --manifest {output.manifest} --threads {threads}"
        " --settings {params.settings:q} > {log} 2>&1"


rule held_out_windows:
    """One held-out domain, packed: of the paper's seven, or real histories."""
    input:
        source=lambda wildcards: source_of(wildcards.domain, "held_out"),
        item_ids=f"{RESULTS}/item_ids/{{ids}}.parquet",
        tokenizer=rules.tokenizer.output,
        code=code("curriculum.windows"),
    output:
        windows=f"{RESULTS}/windows/{{ids}}/held_out/{{domain}}.npy",
        manifest=f"{RESULTS}/windows/{{ids}}/held_out/{{domain}}.json",
    log:
        f"logs/held_out_windows/{NAME}-{{ids}}-{{domain}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/held_out_windows-{{ids}}-{{domain}}.tsv"
    wildcard_constraints:
        ids="|".join(METHODS),
    conda:
        "../../envs/curriculum.yaml"
    params:
        settings=settings(
            seed=SEED,
            length=config["curriculum"]["windows"]["length"],
            packing=config["curriculum"]["windows"]["packing"],
            wordings=1,
            sentences=None,
            tokens=config["curriculum"]["windows"]["held_out_tokens"],
        ),
    shell:
        "python -m recscale.curriculum.windows --domain {wildcards.domain} --part held_out"
        " --source {input.source} --item-ids {input.item_ids}"
        " --tokenizer $(dirname {input.tokenizer[0]}) --windows {output.windows}"
        " --manifest {output.manifest} --threads {threads}"
        " --settings {params.settings:q} > {log} 2>&1"
