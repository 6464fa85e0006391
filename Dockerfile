# One image, three duties: `ui` (the default), `serve` (SageMaker) and the commands; docs/container.md says how to build it.
# Targets: `serve` (the default, without torch) and `full` (torch and open_clip, for other models and GPUs).
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS packages
COPY requirements-serve.txt constraints.txt /tmp/
RUN python3 -m venv /opt/sightline/venv \
 && /opt/sightline/venv/bin/pip install --no-cache-dir --disable-pip-version-check \
    -c /tmp/constraints.txt -r /tmp/requirements-serve.txt \
 && /opt/sightline/venv/bin/pip uninstall --yes --quiet pip setuptools

FROM ${BASE_IMAGE} AS packages-full
ARG TORCH_INDEX
COPY requirements-serve.txt requirements.txt constraints.txt /tmp/
RUN python3 -m venv /opt/sightline/venv \
 && /opt/sightline/venv/bin/pip install --no-cache-dir --disable-pip-version-check \
    ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c /tmp/constraints.txt -r /tmp/requirements.txt \
 && /opt/sightline/venv/bin/pip uninstall --yes --quiet pip

FROM ${BASE_IMAGE} AS code
ARG REVISION=unknown
WORKDIR /opt/sightline/app
COPY app.py settings.py pyproject.toml LICENSE ./
COPY search search
COPY store store
COPY ui ui
COPY pocket pocket
# Compiled here, because the root may be read-only later; releases name the commit, and git is not in here.
RUN python3 -m compileall -q . && echo "$REVISION" > REVISION

# Another model than the bundled one, as an exported folder: the only stages that ask a model hub for anything.
FROM packages AS model
ARG SIGHTLINE_MODEL
ARG HF_ENDPOINT
COPY --from=code /opt/sightline/app /opt/sightline/app
COPY deploy/bake_model.sh /tmp/
RUN sh /tmp/bake_model.sh

FROM packages-full AS model-full
ARG SIGHTLINE_MODEL
ARG HF_ENDPOINT
COPY --from=code /opt/sightline/app /opt/sightline/app
COPY deploy/bake_model.sh /tmp/
RUN sh /tmp/bake_model.sh

FROM ${BASE_IMAGE} AS base
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SIGHTLINE_MODEL
LABEL org.opencontainers.image.title="Sightline" \
      org.opencontainers.image.description="Search your own images by meaning." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      com.amazonaws.sagemaker.capabilities.accept-bind-to-port="true"
# The data folder takes any uid.
RUN mkdir -m 1777 /data
WORKDIR /opt/sightline/app
ENV PATH=/opt/sightline/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    SIGHTLINE_HOST=0.0.0.0 SIGHTLINE_LOG=json SIGHTLINE_DATA_DIR=/data HF_HUB_CACHE=/data/hub \
    SIGHTLINE_MODEL=${SIGHTLINE_MODEL:+/opt/sightline/model}
VOLUME /data /tmp
EXPOSE 7860 8080
ENTRYPOINT ["python", "app.py"]
CMD ["ui"]

FROM base AS full
COPY --from=packages-full /opt/sightline/venv /opt/sightline/venv
COPY --from=code /opt/sightline/app /opt/sightline/app
COPY --from=model-full /opt/sightline/model /opt/sightline/model

FROM base AS serve
COPY --from=packages /opt/sightline/venv /opt/sightline/venv
COPY --from=code /opt/sightline/app /opt/sightline/app
COPY --from=model /opt/sightline/model /opt/sightline/model
