"""Report: one page that shows the tables and figures.

Needs fits, coefs, performance, the tables of claims, sample_sizes of a study that asks for a power,
and the figures; makes report.html.
"""


rule render_report:
    input:
        due(*page()),
        fits=f"{RESULTS}/fits.parquet",
        coefs=f"{RESULTS}/coefs.parquet",
        performance=f"{RESULTS}/performance.parquet",
        claims=f"{RESULTS}/claims.parquet",
        by_condition=f"{RESULTS}/claims_by_condition.parquet",
        sample_sizes=sample_sizes(),
        figures=pictures(),
    output:
        in_report(page()),
    log:
        f"logs/{NAME}/render_report.log",
    localrule: True
    conda:
        environment("report.yaml")
    params:
        run=script("render_report.py"),
        made_by=watched(page()[0]),
    message:
        f"Make the page of {NAME}"
    shell:
        "{params.run:q} {input.fits:q} --output {output:q} --figures {input.figures:q}"
        " > {log:q} 2>&1"
