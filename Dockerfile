# augment with DVC, cleaning and scores, for one user who is not root. For processors alone, hand
# in the options by which pip takes PyTorch's CPU wheels as PIP_OPTIONS; without it torch brings CUDA.
#
#   docker build --tag augment .
#   docker run --rm --user "$(id -u)" --volume "$PWD:/work" augment dvc repro
FROM python:3.12-slim AS build
ARG PIP_OPTIONS=""
ARG EXTRAS="clean,dvc,score,devices"
WORKDIR /source
COPY pyproject.toml README.md LICENSE params.yaml dvc.yaml .dvcignore ./
COPY stages stages
COPY augment augment
RUN python -m venv /opt/augment \
 && /opt/augment/bin/pip install --no-cache-dir $PIP_OPTIONS ".[$EXTRAS]"

FROM python:3.12-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends git \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home augment
COPY --from=build /opt/augment /opt/augment
# DVC asks for the user's name and home, which a number handed to --user has not.
ENV PATH=/opt/augment/bin:$PATH OMP_WAIT_POLICY=PASSIVE HOME=/tmp USER=augment
USER augment
WORKDIR /work
CMD ["augment", "--help"]
