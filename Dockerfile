# docker build -t waybill:0.1.0 .   (BuildKit or buildah)
FROM rust:1.94-bookworm AS build
# The same versions as in scripts/install-tools.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    cargo install --locked --root /tools cargo-auditable@0.7.7 cargo-cyclonedx@0.5.9
ENV PATH=$PATH:/tools/bin
ARG REVISION=unknown
ENV WAYBILL_COMMIT=$REVISION
WORKDIR /src
COPY . .
# Linked statically, resolver included (glibc 2.34 and later need no plug-ins for DNS), so that the
# image needs nothing else. --target keeps that flag away from build scripts and macros. What
# cargo fetched and compiled stays in the builder's caches for the next build. The program carries
# the list of its crates (cargo-auditable), which scanners read; the SBOM beside it says more of them.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    target=$(rustc -vV | sed -n 's/^host: //p') \
    && RUSTFLAGS='-C target-feature=+crt-static -C strip=symbols' \
       cargo auditable build --release --locked -p waybill --target "$target" \
    && install -D "target/$target/release/waybill" /out/waybill \
    && scripts/sbom /out/waybill.cdx.json

# The SBOM alone: docker build --target sbom --output . .
FROM scratch AS sbom
COPY --from=build /out/waybill.cdx.json /

# Certificate authorities, a numeric user, and no shell.
FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG SOURCE=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="waybill" \
      org.opencontainers.image.description="Orders from NATS Streaming to Postgres, served from memory" \
      org.opencontainers.image.licenses="MIT OR Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="$SOURCE" \
      org.opencontainers.image.created="$CREATED" \
      org.opencontainers.image.base.name="gcr.io/distroless/static-debian12:nonroot"
COPY --from=build /out/waybill /waybill
COPY --from=build /out/waybill.cdx.json /usr/share/sbom/waybill.cdx.json
# Long messages by mmap: glibc would raise this after the first of them, and then keep half as much
# memory again in the gaps between them.
ENV MALLOC_MMAP_THRESHOLD_=131072
USER 65532:65532
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s CMD ["/waybill", "healthcheck"]
ENTRYPOINT ["/waybill"]
CMD ["serve"]
