# syntax=docker/dockerfile:1

# Build: CGO is off because the SQLite driver is pure Go, so that the binary needs no C library.
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/hongyan ./cmd/hongyan \
 && mkdir /out/data

# Run: nothing but the binary, which holds the time zones, and the certificates of the build image. It runs as user 65532.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/hongyan /usr/local/bin/hongyan
COPY --from=build --chown=65532:65532 /out/data /data
ENV HONGYAN_ADDR=:8080 \
    HONGYAN_DATA_DIR=/data \
    HONGYAN_LOG_FORMAT=json
USER 65532:65532
VOLUME /data
EXPOSE 8080
STOPSIGNAL SIGTERM
# The binary asks its own /healthz: the image has no curl.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 CMD ["/usr/local/bin/hongyan", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/hongyan"]
CMD ["serve"]
