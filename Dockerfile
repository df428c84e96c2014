# One image with both programs. Build: `docker build -t understudy .` where Debian's image can be pulled, or
# `make image` on the local cluster, which makes that base image itself.
FROM docker.io/library/debian:bookworm-slim AS build
COPY cmake/install-deps /src/cmake/install-deps
RUN /src/cmake/install-deps build
COPY CMakeLists.txt CMakePresets.json /src/
COPY cmake /src/cmake
COPY common /src/common
COPY node /src/node
COPY operator /src/operator
WORKDIR /src
RUN --mount=type=cache,target=/ccache \
    export CCACHE_DIR=/ccache && cmake --preset release && cmake --build --preset release \
    && strip --strip-debug build/release/bin/understudy-node build/release/bin/understudy-operator

FROM docker.io/library/debian:bookworm-slim
COPY cmake/install-deps /tmp/install-deps
RUN /tmp/install-deps run && rm -f /tmp/install-deps \
    && useradd --system --uid 65532 --no-create-home --shell /usr/sbin/nologin understudy
COPY --from=build /src/build/release/bin/understudy-node /src/build/release/bin/understudy-operator /usr/local/bin/
USER 65532:65532
# The API server's CA is handed over by file; without these two the HTTP library would parse the whole
# system bundle for each new connection.
ENV SSL_CERT_DIR=/nonexistent
EXPOSE 6379 8379
CMD ["understudy-node", "--help"]
