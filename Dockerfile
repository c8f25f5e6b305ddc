# The tool in a small image that runs as an ordinary user.
#   docker build -t tidemark . ; docker run --rm -v "$PWD:/work" tidemark run
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/tidemark /tidemark

FROM debian:bookworm-slim
# the authorities that TLS connections are checked against
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /tidemark /usr/local/bin/tidemark
RUN useradd --uid 10001 --create-home tidemark
USER tidemark
WORKDIR /work
ENTRYPOINT ["tidemark"]
CMD ["--help"]
