"""Measures: what the merged tables say of the strategies and of the engines.

Needs fits and coefs; makes performance, and from it claims and claims_by_condition, as Parquet and
CSV. A study that asks for a power gets sample_sizes, too. For an audited study, needs audit and makes
agreement, the comparison of the engines.
"""


rule measure_performance:
    input:
        f"{RESULTS}/fits.parquet",
        f"{RESULTS}/coefs.parquet",
        due(*performance()),
    output:
        in_report(performance()),
    log:
        f"logs/{NAME}/measure_performance.log",
    localrule: True
    conda:
        environment("report.yaml")
    params:
        run=script("measure_performance.py"),
        made_by=watched(performance()[-1]),
    message:
        "Measure the performance of the strategies"
    shell:
        "{params.run:q} {input:q} --output {output:q} > {log:q} 2>&1"


rule assess_claims:
    input:
        f"{RESULTS}/performance.parquet",
        due(*claims(), *claims("claims_by_condition")),
    output:
        claims=in_report(claims()),
        by_condition=in_report(claims("claims_by_condition")),
    log:
        f"logs/{NAME}/assess_claims.log",
    localrule: True
    conda:
        environment("report.yaml")
    params:
        run=script("assess_claims.py"),
        made_by=watched(claims()[-1]),
    message:
        "Put the post's claims to the test"
    shell:
        "{params.run:q} {input:q} --output {output.claims:q}"
        " --by-condition {output.by_condition:q} > {log:q} 2>&1"


rule find_sample_sizes:
    input:
        f"{RESULTS}/performance.parquet",
        due(*sample_sizes()),
    output:
        in_report(
            sample_sizes()
            or [f"{RESULTS}/sample_sizes.csv", f"{RESULTS}/sample_sizes.parquet"]
        ),
    log:
        f"logs/{NAME}/find_sample_sizes.log",
    localrule: True
    conda:
        environment("report.yaml")
    params:
        run=script("find_sample_sizes.py"),
        made_by=watched(f"{RESULTS}/sample_sizes.parquet"),
    message:
        "Find the numbers of groups that the strategies need"
    shell:
        "{params.run:q} {input:q} --output {output:q} > {log:q} 2>&1"


rule compare_engines:
    input:
        f"{RESULTS}/audit.parquet",
        due(*agreement()),
    output:
        in_report(
            agreement() or [f"{RESULTS}/agreement.csv", f"{RESULTS}/agreement.parquet"]
        ),
    log:
        f"logs/{NAME}/compare_engines.log",
    localrule: True
    conda:
        environment("report.yaml")
    params:
        run=script("compare_engines.py"),
        made_by=watched(f"{RESULTS}/agreement.parquet"),
    message:
        "Compare the native engine with lme4 and statsmodels"
    shell:
        "{params.run:q} {input:q} --output {output:q} > {log:q} 2>&1"
