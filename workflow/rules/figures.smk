"""Figures: all of them from the merged table and its measures, by one job.

Needs fits.parquet and performance.parquet beside it; makes PNG and SVG of every figure, for each slice of the study.
"""


localrules:
    draw,


rule draw:
    input:
        due(*figures()),
        fits=f"{RESULTS}/fits.parquet",
        performance=f"{RESULTS}/performance.parquet",
    output:
        figures(),
    log:
        f"logs/{NAME}/draw.log",
    conda:
        environment("report.yaml")
    # as many as there are figures, or cores
    threads: 6
    params:
        run=script("draw.py"),
        folder=unwatched(f"{RESULTS}/figures"),
    message:
        "Draw the figures"
    shell:
        "{params.run:q} {input.fits:q} --output {params.folder:q} --jobs {threads}"
        " > {log:q} 2>&1"
