"""Front door: `snakemake` builds the paper's artefacts at the default rung, see README.md."""


include: "workflow/Snakefile"


rule default:
    default_target: True
    input:
        rules.all.input,
