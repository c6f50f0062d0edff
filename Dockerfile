# syntax is plain Dockerfile: `docker build -t sluicegate .` or `buildah build -t sluicegate .`
# The first stage has a compiler and makes a virtual environment; the second has Python and that, nothing else.
ARG PYTHON=docker.io/library/python:3.13-slim
FROM ${PYTHON} AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml setup.py constraints.txt README.md LICENSE ./
COPY proxy proxy
RUN python3 -m venv --copies /opt/sluice \
 && PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_NO_CACHE_DIR=1 /opt/sluice/bin/pip install . \
 && /opt/sluice/bin/sluice version | grep -q accelerated \
 && /opt/sluice/bin/pip uninstall -y pip

FROM ${PYTHON}
COPY --from=build /opt/sluice /opt/sluice
COPY config/container.yaml /etc/sluice/sluice.yaml
# Numeric, so that Kubernetes can see that it is not root.
RUN mkdir -p /var/lib/sluice && chown 10001:10001 /var/lib/sluice
USER 10001:10001
ENV PATH=/opt/sluice/bin:$PATH STATE_DIRECTORY=/var/lib/sluice PYTHONDONTWRITEBYTECODE=1
VOLUME /var/lib/sluice
EXPOSE 8080 9901
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["sluice", "healthcheck"]
ENTRYPOINT ["sluice"]
CMD ["run", "/etc/sluice/sluice.yaml"]
