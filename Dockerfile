# syntax=docker/dockerfile:1
FROM rust:1.95-slim-bookworm AS build
# For aws-lc.
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# No database at build time: the compiler reads .sqlx.
ENV SQLX_OFFLINE=true
# Without `lethe dev`: neither its embedded servers nor its made-up keys belong into production.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --no-default-features --bin lethe \
    && cp target/release/lethe /usr/local/bin/lethe

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --home-dir /nonexistent \
        --shell /usr/sbin/nologin lethe
COPY --from=build /usr/local/bin/lethe /usr/local/bin/lethe
COPY scripts/healthy /usr/local/bin/healthy
USER lethe
# Inside a container 127.0.0.1 is nobody's address; the port is published where it should be.
ENV BIND_ADDR=0.0.0.0:8080 METRICS_ADDR=0.0.0.0:9090 LOG_FORMAT=json
EXPOSE 8080 9090
# Longer than SHUTDOWN_TIMEOUT_MS must be what the orchestrator grants after SIGTERM (Docker: 10 s).
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/lethe"]
CMD ["--help"]
