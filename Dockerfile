# Two stages: build an environment from the locked hashes, then copy it into a slim, non-root image. What runs
# there may not write to it, so all modules are compiled here, once, and not in each process that loads them.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements-bootstrap.lock requirements.lock ./
RUN python -m venv /opt/patchmill \
 && python -m pip install --no-cache-dir --require-hashes -r requirements-bootstrap.lock \
 && uv pip install --no-cache --compile-bytecode --python /opt/patchmill/bin/python --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE Procfile ./
COPY patchmill patchmill
COPY api api
COPY worker worker
COPY migrations migrations
RUN uv pip install --no-cache --compile-bytecode --python /opt/patchmill/bin/python --no-deps .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --home-dir /data patchmill && mkdir /data && chown patchmill /data
COPY --from=build /opt/patchmill /opt/patchmill
ENV PATH=/opt/patchmill/bin:$PATH PYTHONUNBUFFERED=1 PATCHMILL_DATA_DIR=/data
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8080
CMD ["python", "-m", "api"]
