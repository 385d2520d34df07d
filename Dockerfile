# Needs BuildKit (docker), podman or buildah. One build for one platform or several:
#   docker buildx build --platform linux/amd64,linux/arm64 …
# make image does it with what is there, and fills in the arguments.

# Where the registry is slow or barred: --build-arg GO_IMAGE=<a copy of this>, and GOPROXY.
ARG GO_IMAGE=docker.io/library/golang:1.26

# Compiles on the machine's own platform, for the one that is asked for.
FROM --platform=$BUILDPLATFORM $GO_IMAGE AS build
ARG GOPROXY
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
# One name a line: older versions of buildah and podman read only the first.
ARG TARGETOS
ARG TARGETARCH
ARG VERSION
ARG REVISION
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH go build -trimpath -buildvcs=false \
        -ldflags "-s -w -X main.version=$VERSION -X main.revision=$REVISION" -o /out/usr/local/bin/buildbridge ./cmd/buildbridge \
    && mkdir -p /out/etc/buildbridge \
    && install -D -m 0644 /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/ca-certificates.crt \
    && install -D -m 0644 LICENSE /out/licenses/LICENSE \
    && install -d -m 1777 /out/tmp \
    && install -d -m 0775 -o 65532 -g 0 /out/data

# Nothing but the program, the certificate authorities it trusts, and folders. Time
# zones are in the program.
FROM scratch
ARG VERSION=devel
ARG REVISION=unknown
LABEL org.opencontainers.image.title="buildbridge" \
      org.opencontainers.image.description="Turns pushes and tags on a code host into builds of Huawei Cloud CodeArts Build" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/ /
USER 65532:65532

# Rules are mounted into /etc/buildbridge; the SQLite file is in /data, which is
# the only folder that is written to. In a container, others ask the admin listener.
ENV BUILDBRIDGE_RULES=/etc/buildbridge BUILDBRIDGE_ADMIN_LISTEN=:8081
WORKDIR /data
VOLUME /data
EXPOSE 8080 8081
# Docker and podman look at it, Kubernetes does not. Images in OCI's format have none.
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s CMD ["/usr/local/bin/buildbridge", "health"]
ENTRYPOINT ["/usr/local/bin/buildbridge"]
CMD ["serve"]
