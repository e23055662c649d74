"""Merge: all shards of the study into its tables.

Needs every shard; makes fits, coefs and timings, as Parquet and, if they aren't too long, as
compressed CSV; for an audited study the table audit, too.
"""


localrules:
    merge_shards,


rule merge_shards:
    input:
        shards,
        due(*merged_tables()),
    output:
        merged_tables(),
    log:
        f"logs/{NAME}/merge_shards.log",
    # what it finds wrong, a second try would find gone
    retries: 0
    conda:
        environment("report.yaml")
    params:
        run=script("merge_shards.py"),
        cells=unwatched(f"{RESULTS}/cells"),
        look=latest_look,
        programs=unwatched("--other-programs" if in_conda() else ""),
    message:
        "Merge the shards of {NAME}"
    shell:
        "{params.run:q} --cells {params.cells:q} {params.look:q} {params.programs}"
        " --output {output:q} > {log:q} 2>&1"
