"""Fit: one job per cell (N, O, sigma, sim), or per block of `sims_per_job` replications.

Needs nothing but the configuration; makes the study's shards. Names of shards have commas between
the keys that are not at their defaults: there is a rule for each number of them, most often one.
"""

for n_parts in numbers_of_parts():

    rule:
        name:
            "fit_cell" if n_parts == numbers_of_parts()[0] else f"fit_cell_of_{n_parts}"
        input:
            due(in_parts(f"{RESULTS}/cells/*.parquet", n_parts)),
        output:
            in_parts(f"{RESULTS}/cells/*.parquet", n_parts, constrained=True),
        log:
            in_parts(f"logs/{NAME}/cells/*.log", n_parts),
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
            made_by=watched(in_parts(f"{RESULTS}/cells/*.parquet", n_parts)),
        message:
            "Fit {params.condition}, replication {params.sims}"
        shell:
            "{params.run:q} --condition {params.condition:q} --sims {params.sims}"
            " --output {output:q} > {log:q} 2>&1"
