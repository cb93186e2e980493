# syntax=docker/dockerfile:1
FROM rust:1.95-slim-bookworm AS build
# The crate aws-lc-sys needs a C compiler and CMake.
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# There is no database at build time: the compiler reads .sqlx.
ENV SQLX_OFFLINE=true
# Leaves out `lethe dev`: its embedded servers and generated keys do not belong in production.
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
# Nobody outside the container reaches its 127.0.0.1. Who may reach the published port is decided outside.
ENV BIND_ADDR=0.0.0.0:8080 METRICS_ADDR=0.0.0.0:9090 LOG_FORMAT=json
EXPOSE 8080 9090
# After SIGTERM the orchestrator must wait longer than SHUTDOWN_TIMEOUT_MS (25 s; Docker's default wait is 10 s).
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/lethe"]
CMD ["--help"]
