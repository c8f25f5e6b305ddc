# The tool in a small image that runs as an ordinary user, any of them.
#   docker build -t tidemark .
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/work" tidemark run
# Without --user it is 10001, which may not write to a folder of yours (docs/troubleshooting.md, "In a container").
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    cargo build --release --locked && cp target/release/tidemark /tidemark

FROM debian:bookworm-slim
# the authorities that TLS connections are checked against
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/*
COPY --from=build /tidemark /usr/local/bin/tidemark
# /work is that user's, so that a volume that is first mounted there is, too
RUN useradd --uid 10001 --create-home tidemark && install -d -o tidemark -g tidemark /work
# by number, so that Kubernetes can see that it is not root
USER 10001:10001
WORKDIR /work
ENTRYPOINT ["tidemark"]
CMD ["--help"]
