"""Merge: all shards of the study into its tables.

Needs every shard; makes fits, coefs and timings, as Parquet and, if they aren't too long, as
compressed CSV; for an audited study the table audit, too.
"""


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
    localrule: True
    conda:
        environment("report.yaml")
    params:
        run=script("merge_shards.py"),
        cells=folder_of_cells,
        look=latest_look,
        programs=unwatched("--other-programs" if other_programs() else ""),
        made_by=watched(f"{RESULTS}/fits.parquet"),
    message:
        f"Merge the shards of {NAME}"
    shell:
        "{params.run:q} --cells {params.cells:q} {params.look:q} {params.programs}"
        " --output {output:q} > {log:q} 2>&1"
