# Two stages: the first builds the wheel and installs it with its locked dependencies, the second holds
# only Python and the result. Build:  docker build -t email-connector .
# Pin the base image by digest for a reproducible build:
#   docker build --build-arg PYTHON=3.13-slim@sha256:... -t email-connector .
# with the digest that `docker buildx imagetools inspect python:3.13-slim` prints.
ARG PYTHON=3.13-slim

FROM python:${PYTHON} AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
COPY requirements/runtime.txt requirements/build.txt requirements/
RUN python -m venv /opt/connector \
 && /opt/connector/bin/pip install --require-hashes -r requirements/runtime.txt \
 && python -m venv /opt/build \
 && /opt/build/bin/pip install --require-hashes -r requirements/build.txt
COPY pyproject.toml hatch_build.py README.md LICENSE ./
COPY mappings mappings
COPY connector connector
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /dist . \
 && /opt/connector/bin/pip install --no-deps /dist/*.whl \
 && /opt/connector/bin/pip check \
 && /opt/connector/bin/pip uninstall --yes pip \
 && install -d -m 0770 /var/lib/email-connector

FROM python:${PYTHON}
ARG PYTHON
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="Cloudflare Email Security connector" \
      org.opencontainers.image.description="Delivers the verdicts of Cloudflare Email Security to SIEM and SOAR" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.base.name="python:${PYTHON}"
COPY --from=build /opt/connector /opt/connector
# The group 0 is for platforms that choose the user id themselves.
COPY --from=build --chown=10001:0 /var/lib/email-connector /var/lib/email-connector
ENV PATH=/opt/connector/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    CONNECTOR_STATE__DIRECTORY=/var/lib/email-connector
# The endpoint listens on loopback inside the container until CONNECTOR_SERVER__LISTEN opens it.
USER 10001:10001
VOLUME /var/lib/email-connector
EXPOSE 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=60s \
  CMD ["email-connector", "status", "--health"]
ENTRYPOINT ["email-connector"]
CMD ["run"]
