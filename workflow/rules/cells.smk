"""Fit: one job per cell (N, O, sigma, sim), or per block of `sims_per_job` replications.

Needs nothing but the configuration; makes the study's shards.
"""


localrules:
    check_environment,


rule check_environment:
    output:
        f"results/{NAME}/environment.json",
    log:
        f"logs/{NAME}/check_environment.log",
    # what is not there won't be there in a moment
    retries: 0
    conda:
        "../../envs/fit.yaml"
    params:
        run=script("fit_cell.py", warm=True),
        settings=SETTINGS,
    message:
        "Check that R and the packages are there"
    shell:
        "{params.run} --config {params.settings:q} --check {output} > {log} 2>&1"


rule fit_cell:
    input:
        # where every fit would fail, one job says why and none is started
        ancient(f"results/{NAME}/environment.json"),
    output:
        f"results/{NAME}/cells/n_groups={{n_groups}}/n_obs={{n_obs}}/sigma={{sigma}}/sim={{sims}}.parquet",
    log:
        f"logs/{NAME}/cells/n_groups={{n_groups}}/n_obs={{n_obs}}/sigma={{sigma}}/sim={{sims}}.log",
    conda:
        "../../envs/fit.yaml"
    threads: 1
    resources:
        mem_mb=block_memory,
        runtime=block_minutes,
    params:
        run=script("fit_cell.py", warm=True),
        # a change of either makes the cells anew
        settings=SETTINGS,
        code=CODE,
    message:
        "Fit {wildcards.n_groups} groups x {wildcards.n_obs} observations, sigma {wildcards.sigma}, replication {wildcards.sims}"
    shell:
        "{params.run} --config {params.settings:q}"
        " --n-groups {wildcards.n_groups} --n-obs {wildcards.n_obs} --sigma {wildcards.sigma}"
        " --sims {wildcards.sims} --output {output} > {log} 2>&1"
