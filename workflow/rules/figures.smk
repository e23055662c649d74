"""Figures: each from the merged table, or from the configuration, by its own rule.

Needs fits.parquet; makes PNG and SVG of every figure.
"""


localrules:
    plot_metric,
    plot_convergence,
    plot_coefficients,
    plot_grid,


rule plot_metric:
    input:
        f"results/{NAME}/fits.parquet",
    output:
        multiext(f"results/{NAME}/figures/{{metric}}", ".png", ".svg"),
    log:
        f"logs/{NAME}/plot_{{metric}}.log",
    wildcard_constraints:
        metric="coef_abs_err|se_sum|t_sum",
    conda:
        "../../envs/report.yaml"
    params:
        run=script("plot_metric.py"),
    message:
        "Draw {wildcards.metric}"
    shell:
        "{params.run} {input} --metric {wildcards.metric}"
        " --output {output} > {log} 2>&1"


rule plot_convergence:
    input:
        f"results/{NAME}/fits.parquet",
    output:
        multiext(f"results/{NAME}/figures/convergence", ".png", ".svg"),
    log:
        f"logs/{NAME}/plot_convergence.log",
    conda:
        "../../envs/report.yaml"
    params:
        run=script("plot_convergence.py"),
    message:
        "Draw the success rates"
    shell:
        "{params.run} {input} --output {output} > {log} 2>&1"


rule plot_coefficients:
    output:
        multiext(f"results/{NAME}/figures/coefficients", ".png", ".svg"),
    log:
        f"logs/{NAME}/plot_coefficients.log",
    conda:
        "../../envs/report.yaml"
    params:
        run=script("plot_coefficients.py"),
        study=STUDY.to_json(),
    message:
        "Draw the person-level coefficients"
    shell:
        "{params.run} --config {params.study:q}" " --output {output} > {log} 2>&1"


rule plot_grid:
    output:
        multiext(f"results/{NAME}/figures/grid", ".png", ".svg"),
    log:
        f"logs/{NAME}/plot_grid.log",
    conda:
        "../../envs/report.yaml"
    params:
        run=script("plot_grid.py"),
        study=STUDY.to_json(),
    message:
        "Draw the parameter grid"
    shell:
        "{params.run} --config {params.study:q} --output {output} > {log} 2>&1"
