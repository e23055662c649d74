"""Merge: all shards of the study into its tables.

Needs every shard; makes fits, coefs and timings, as Parquet and as compressed CSV.
"""


rule merge_shards:
    input:
        shards,
    output:
        merged_tables(),
    log:
        f"logs/{NAME}/merge_shards.log",
    conda:
        "../../envs/report.yaml"
    params:
        run=script("merge_shards.py"),
        study=STUDY.to_json(),
        code=CODE,
        cells=f"results/{NAME}/cells",
    message:
        "Merge the shards of {NAME}"
    shell:
        "{params.run} --config {params.study:q} --cells {params.cells}"
        " --output {output} > {log} 2>&1"
