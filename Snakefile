"""The sweep: simulate and fit every cell, merge the shards, draw the figures, make the page.

snakemake --cores 4                                        # config/config.yaml
snakemake --cores 4 --configfile config/quick.yaml         # another study
"""

from snakemake.utils import min_version

min_version("9.0")


report: "workflow/report/workflow.rst"


include: "workflow/rules/common.smk"
include: "workflow/rules/cells.smk"
include: "workflow/rules/merge.smk"
include: "workflow/rules/measures.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/report.smk"


if STUDY.precision:  # a workflow with checkpoints is planned in another way

    include: "workflow/rules/precision.smk"


onstart:
    begin()


onsuccess:
    end()


rule all:
    default_target: not STORAGE
    input:
        everything(),


if STORAGE:  # at the end of a run, none of its files is here to be looked at

    rule verify:
        default_target: True
        input:
            fits=f"{RESULTS}/fits.parquet",
            others=everything(),
        log:
            f"logs/{NAME}/verify.log",
        localrule: True
        conda:
            environment("report.yaml")
        params:
            run=script("verify.py"),
        message:
            f"Verify what there is of {NAME}"
        shell:
            "{params.run:q} {input.fits:q} {input.others:q} --other-programs > {log:q} 2>&1"
