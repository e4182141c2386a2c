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
        settings=settings(but(GENERAL, "download", "software_heritage", "shards"), seed=SEED),
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


rule token_shard:
    """One shard of the tokens of general text: tokenising it is most of the work of packing."""
    input:
        documents=rules.general_text.output.documents,
        tokenizer=rules.tokenizer.output,
        code=code("curriculum.token_shards"),
    output:
        tokens=temp(f"{RESULTS}/windows/{{ids}}/tokens/{{part}}/{{shard}}.npy"),
        offsets=temp(f"{RESULTS}/windows/{{ids}}/tokens/{{part}}/{{shard}}.offsets.npy"),
    log:
        f"logs/token_shard/{NAME}-{{ids}}-{{part}}-{{shard}}.log",
    benchmark:
        f"{RESULTS}/benchmarks/token_shard-{{ids}}-{{part}}-{{shard}}.tsv"
    wildcard_constraints:
        ids="|".join(METHODS),
        part="base|train",
        shard=r"\d+",
    conda:
        "../../envs/curriculum.yaml"
    params:
        shards=GENERAL["shards"],
        settings=settings(seed=SEED),
    shell:
        "python -m recscale.curriculum.token_shards --documents {input.documents}"
        " --part {wildcards.part} --tokenizer $(dirname {input.tokenizer[0]})"
        " --shard {wildcards.shard} --shards {params.shards} --tokens {output.tokens}"
        " --offsets {output.offsets} --threads {threads}"
        " --settings {params.settings:q} > {log} 2>&1"


rule training_windows:
    """One training domain or control, packed; `base` is the general text that base models see."""
    input:
        source=lambda wildcards: source_of(wildcards.domain.replace("base", "general"), "train"),
        tokens=token_shards,
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
        tokens=lambda wildcards, input: (
            f"--token-shards {' '.join(input.tokens[::2])}" if input.tokens else ""
        ),
        settings=lambda wildcards: training_windows_settings(wildcards.domain),
    shell:
        "python -m recscale.curriculum.windows --domain {params.domain} --part {params.part}"
        " --source {input.source} {params.tokens} --item-ids {input.item_ids}"
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
