# R, Python and all packages, without conda, and the project itself:
#   docker build -t rmsweep .
#   docker run -v "$PWD/results:/rmsweep/results" rmsweep snakemake --cores 4 --configfile config/quick.yaml
# Where there is no Docker: apptainer build rmsweep.sif docker-daemon:rmsweep:latest on a machine with both.
FROM debian:bookworm-slim

WORKDIR /rmsweep
COPY envs envs
# the versions of the lock, in an environment beside the project
RUN PIP_CONSTRAINT=/rmsweep/envs/requirements.lock envs/setup.sh /opt/rmsweep \
    && rm -rf /var/lib/apt/lists/* /root/.cache
ENV PATH=/opt/rmsweep/bin:$PATH

COPY . .
CMD ["snakemake", "--cores", "all"]
