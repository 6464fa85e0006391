# One image, three duties: `ui` (default), `serve` (SageMaker) and the commands; no torch inside.
ARG BASE_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS packages
COPY requirements-serve.txt /tmp/
RUN python3 -m venv /opt/sightline/venv \
 && /opt/sightline/venv/bin/pip install --no-cache-dir --disable-pip-version-check -r /tmp/requirements-serve.txt \
 && /opt/sightline/venv/bin/pip uninstall --yes --quiet pip

FROM ${BASE_IMAGE}
LABEL org.opencontainers.image.title="Sightline" \
      org.opencontainers.image.licenses="Apache-2.0" \
      com.amazonaws.sagemaker.capabilities.accept-bind-to-port="true"
COPY --from=packages /opt/sightline/venv /opt/sightline/venv
WORKDIR /opt/sightline/app
COPY app.py settings.py LICENSE ./
COPY search search
COPY store store
COPY ui ui
COPY pocket pocket
# Compiled here because the root may be read-only later; the data folder takes any uid.
RUN python3 -m compileall -q . && mkdir -m 1777 /data
ENV PATH=/opt/sightline/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    SIGHTLINE_HOST=0.0.0.0 SIGHTLINE_DATA_DIR=/data HF_HUB_CACHE=/data/hub
VOLUME /data
EXPOSE 7860 8080
ENTRYPOINT ["python", "app.py"]
CMD ["ui"]
