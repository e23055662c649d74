"""Figures: all of them from the merged table, by one job.

Needs fits.parquet; makes PNG and SVG of every figure.
"""


localrules:
    draw,


rule draw:
    input:
        f"results/{NAME}/fits.parquet",
        due(*figures()),
    output:
        figures(),
    log:
        f"logs/{NAME}/draw.log",
    conda:
        "../../envs/report.yaml"
    params:
        run=script("draw.py"),
        folder=unwatched(f"results/{NAME}/figures"),
    message:
        "Draw the figures"
    shell:
        "{params.run} {input} --output {params.folder} > {log} 2>&1"
