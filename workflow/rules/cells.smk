"""Fit: one job per cell (N, O, sigma, sim), or per block of `sims_per_job` replications.

Needs nothing but the configuration; makes the study's shards. One wildcard stands for a condition,
whatever its axes, and its replications.
"""


rule fit_cell:
    input:
        due(f"{RESULTS}/cells/{{cell}}.parquet"),
    output:
        f"{RESULTS}/cells/{{cell}}.parquet",
    log:
        f"logs/{NAME}/cells/{{cell}}.log",
    conda:
        environment("fit.yaml")
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: plan.memory_mb(
            STUDY, block(wildcards), attempt
        ),
        runtime=lambda wildcards, attempt: plan.limit_minutes(
            STUDY, block(wildcards), attempt
        ),
    params:
        run=script("fit_cell.py", warm=True),
        condition=lambda wildcards, output: block(wildcards).condition.key,
        sims=lambda wildcards, output: block(wildcards).label,
    message:
        "Fit {wildcards.cell}"
    shell:
        "{params.run:q} --condition {params.condition:q} --sims {params.sims}"
        " --output {output:q} > {log:q} 2>&1"
