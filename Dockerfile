# The workbench on a CPU. docs/deploy.md says how it is built, and what whoever opens it may do.
FROM python:3.12-slim AS build

# The index that has the CPU build of torch. The usual one has for Linux that for CUDA, which needs
# libraries that the lock leaves out.
ARG TORCH_INDEX

WORKDIR /source
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/metasae
ENV PATH=/opt/metasae/bin:$PATH

COPY requirements.lock .
RUN pip install --no-deps \
        --index-url "${TORCH_INDEX:?give --build-arg TORCH_INDEX=… (docs/deploy.md)}" \
        "$(grep -o '^torch==[0-9.]*' requirements.lock)" && \
    pip install --require-hashes --no-deps -r requirements.lock

COPY . .
RUN pip install --no-deps --no-build-isolation .

FROM python:3.12-slim

RUN useradd --create-home --uid 1000 guest
COPY --from=build /opt/metasae /opt/metasae

# The cache: the model, fetched at the first start, and what is kept of searches and studies.
ENV PATH=/opt/metasae/bin:$PATH METASAE_CACHE=/home/guest/cache
WORKDIR /home/guest
USER 1000
RUN mkdir cache
VOLUME /home/guest/cache

EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]

# Listening on more than the loopback makes guests of all visitors (docs/security.md).
ENTRYPOINT ["metasae", "workbench", "--port=8501", "--", \
    "--server.address=0.0.0.0", "--server.headless=true"]
