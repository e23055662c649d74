"""Fit: one job per cell (N, O, sigma, sim), or per block of `sims_per_job` replications.

Needs nothing but the configuration; makes the study's shards.
"""


rule fit_cell:
    input:
        due(f"results/{NAME}/cells/{CELL}.parquet"),
    output:
        f"results/{NAME}/cells/{CELL}.parquet",
    log:
        f"logs/{NAME}/cells/{CELL}.log",
    conda:
        "../../envs/fit.yaml"
    threads: 1
    resources:
        mem_mb=block_memory,
        runtime=block_minutes,
    params:
        run=script("fit_cell.py", warm=True),
        settings=unwatched(SETTINGS),
    message:
        "Fit {wildcards.n_groups} groups x {wildcards.n_obs} observations, sigma {wildcards.sigma}, replication {wildcards.sims}"
    shell:
        "{params.run} --config {params.settings:q}"
        " --n-groups {wildcards.n_groups} --n-obs {wildcards.n_obs} --sigma {wildcards.sigma}"
        " --sims {wildcards.sims} --output {output} > {log} 2>&1"
