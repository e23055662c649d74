"""Precision: looks whether there are enough replications, each of which may ask for more.

Needs the shards of a batch of replications and the look before; makes the tables of the looks, and
of the last one the table replications, as Parquet and as CSV.
"""


checkpoint check_precision:
    input:
        batch,
        due(f"{RESULTS}/precision/{{look}}.parquet"),
    output:
        f"{RESULTS}/precision/{{look}}.parquet",
    log:
        f"logs/{NAME}/check_precision/{{look}}.log",
    # what it finds wrong, a second try would find gone
    retries: 0
    localrule: True
    conda:
        environment("report.yaml")
    params:
        run=script("check_precision.py"),
        cells=folder_of_cells,
        before=look_before,
        programs=unwatched("--other-programs" if other_programs() else ""),
    message:
        "Look {wildcards.look}: are there enough replications?"
    shell:
        "{params.run:q} --cells {params.cells:q} {params.before:q} {params.programs}"
        " --output {output:q} > {log:q} 2>&1"


rule settle_replications:
    input:
        last_look,
        due(*replications()),
    output:
        in_report(
            replications()
            or [f"{RESULTS}/replications.csv", f"{RESULTS}/replications.parquet"]
        ),
    log:
        f"logs/{NAME}/settle_replications.log",
    localrule: True
    conda:
        environment("report.yaml")
    params:
        run=script("check_precision.py"),
        cells=folder_of_cells,
        programs=unwatched("--other-programs" if other_programs() else ""),
    message:
        "Replications of each condition"
    # a look at conditions that are all settled reads no shard
    shell:
        "{params.run:q} --cells {params.cells:q} --before {input:q} {params.programs}"
        " --output {output:q} > {log:q} 2>&1"
