"""Figures: all of them from the merged tables and their measures, by one job.

Needs fits.parquet and, beside it, coefs, timings, performance and the tables of claims; makes PNG and
SVG of every figure, for each slice of the study.
"""


rule draw:
    input:
        due(*figures()),
        fits=f"{RESULTS}/fits.parquet",
        coefs=f"{RESULTS}/coefs.parquet",
        timings=f"{RESULTS}/timings.parquet",
        performance=f"{RESULTS}/performance.parquet",
        claims=f"{RESULTS}/claims.parquet",
        by_condition=f"{RESULTS}/claims_by_condition.parquet",
    output:
        in_report(figures()),
    log:
        f"logs/{NAME}/draw.log",
    localrule: True
    conda:
        environment("report.yaml")
    # as many as there are figures, or cores
    threads: 6
    params:
        run=script("draw.py"),
        folder=folder_of_figures,
        made_by=watched(f"{RESULTS}/figures/grid.svg"),
    message:
        "Draw the figures"
    shell:
        "{params.run:q} {input.fits:q} --output {params.folder:q} --jobs {threads}"
        " > {log:q} 2>&1"
