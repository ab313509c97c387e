# The service in an image: no build tools, no pip, no root.
#
#   docker build -t jobspool .
#   docker run -p 127.0.0.1:8000:8000 -v jobspool:/data jobspool
#
# BASE is any Debian or Ubuntu image with Python 3.11 or newer at "python3", its venv module
# and ca-certificates. A private package index: --secret id=pip.conf,src=path/to/pip.conf
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
WORKDIR /build
RUN python3 -m venv tools && python3 -m venv --without-pip /opt/jobspool
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# What the service needs changes seldom, so it is a layer of its own.
COPY requirements.lock deploy/requirements-build.lock ./
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    tools/bin/python -m pip --python /opt/jobspool/bin/python \
      install --require-hashes --only-binary :all: -r requirements.lock \
    && tools/bin/python -m pip install --require-hashes --only-binary :all: -r requirements-build.lock

# The build backend is pinned above: the wheel is built and installed without the network.
COPY pyproject.toml README.md LICENSE ./
COPY service service
RUN tools/bin/python -m pip wheel --no-deps --no-build-isolation --no-index --wheel-dir dist . \
    && tools/bin/python -m pip --python /opt/jobspool/bin/python install --no-deps --no-index dist/*.whl


FROM ${BASE}
# A fixed uid, so that the owner of a volume stays the same from image to image.
RUN groupadd --gid 10001 jobspool \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /data jobspool \
    && install -d -o jobspool -g jobspool -m 0750 /data
COPY --from=build /opt/jobspool /opt/jobspool
COPY deploy/healthcheck.py /opt/jobspool/healthcheck.py

# Inside a container every address is behind its port mapping, which decides who may connect:
# the service has to listen on all of them, also without keys. Publish the port on 127.0.0.1, or
# make a key first: docker run --rm -v jobspool:/data jobspool jobspool keys create NAME
ENV PATH=/opt/jobspool/bin:$PATH \
    JOBSPOOL_DATA_DIR=/data \
    JOBSPOOL_HOST=0.0.0.0 \
    JOBSPOOL_INSECURE_BIND=true

USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8000
# Running jobs get JOBSPOOL_DRAIN_S (8 s) to finish: give `docker stop` --time 15.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=20s --retries=3 \
    CMD ["python3", "/opt/jobspool/healthcheck.py"]
CMD ["jobspool", "serve"]
