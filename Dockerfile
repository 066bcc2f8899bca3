# Two images of one distribution: `train` (torch and Ray, no BentoML) and `serve` (ONNX Runtime and BentoML, no torch).
#
#   docker build --target serve --tag tailorbird-serve .
#
# Both run as a numeric user, without capabilities and with a read-only root where only /tmp can be written.
# pip's index settings enter as build arguments; one that holds CPU wheels of torch keeps gigabytes of CUDA out of `train`:
#
#   docker build --target train --build-arg PIP_EXTRA_INDEX_URL=… --tag tailorbird-train .
#
# A release gives BASE with its digest: --build-arg BASE=python:3.11-slim-bookworm@sha256:…
ARG BASE=python:3.11-slim-bookworm

# The dependencies of training alone, read out of pyproject.toml: no other change in it, and none of the code, installs
# them anew.
FROM ${BASE} AS requirements
WORKDIR /src
COPY pyproject.toml ./
RUN python -c "import pathlib, tomllib; \
project = tomllib.loads(pathlib.Path('pyproject.toml').read_text())['project']; \
extras = project['optional-dependencies']; \
pathlib.Path('train.txt').write_text('\n'.join(project['dependencies'] + extras['train'] + extras['postgres'] + extras['s3']))"

FROM ${BASE} AS build
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
RUN python -m venv --without-pip /opt/tailorbird
COPY constraints.txt ./

# Compiled is what each start imports, which spares it seconds on a read-only root. Left out are tests, C++ headers, what
# Java needs of Ray, and the descriptions of 400 Amazon services: a third of it all.
FROM build AS train-packages
COPY --from=requirements /src/train.txt ./
RUN pip --python /opt/tailorbird/bin/python install --no-compile -c constraints.txt -r train.txt
WORKDIR /opt/tailorbird/lib/python3.11/site-packages
RUN find . -name tests -type d -prune -exec rm -r {} + \
 && find torch/bin -type f ! -name torch_shm_manager -delete \
 && find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name 'sso*' ! -name sts ! -name signin -exec rm -r {} + \
 && rm -r onnx/backend/test pyarrow/include pyarrow/*flight* ray/jars ray/rllib torch/include torch/test \
 && find . \( -name '*.h' -o -name '*.map' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.pyi' \) -delete \
 && /opt/tailorbird/bin/python -c "import alembic.command, boto3, joblib, matplotlib.pyplot, onnx, onnxruntime, psycopg, ray.tune, \
ray.autoscaler._private.monitor, ray.dashboard.agent, ray.dashboard.dashboard, ray.job_submission, rich.progress, safetensors.torch, \
sklearn.datasets, sqlalchemy.dialects.postgresql.psycopg, sqlalchemy.dialects.sqlite, torch.onnx, typer.main, yaml; \
import ray._private.runtime_env.agent.main, ray._private.workers.default_worker"

# By hashes, which torch's wheels rule out for training: they differ by index.
FROM build AS serve-packages
COPY requirements-serve.txt ./
RUN pip --python /opt/tailorbird/bin/python install --no-compile --require-hashes -r requirements-serve.txt
WORKDIR /opt/tailorbird/lib/python3.11/site-packages
RUN find botocore/data -mindepth 1 -maxdepth 1 -type d ! -name s3 ! -name 'sso*' ! -name sts ! -name signin -exec rm -r {} + \
 && find . -name tests -type d -prune -exec rm -r {} + \
 && BENTOML_DO_NOT_TRACK=True /opt/tailorbird/bin/python -c "import _bentoml_impl.server.app, _bentoml_impl.server.serving, \
_bentoml_impl.worker.service, alembic.command, boto3, jinja2, onnxruntime, orjson, PIL.Image, psycopg, pydantic_settings, rich.progress, \
sqlalchemy.dialects.postgresql.psycopg, sqlalchemy.dialects.sqlite, starlette.applications, typer.main, uvicorn.config, uvloop, yaml; \
boto3.client('s3', region_name='us-east-1'); PIL.Image.init()"

# The same virtual environment with our own code alone, to be laid over the packages.
FROM build AS code
RUN pip install -c constraints.txt hatchling
COPY . .
RUN pip wheel --no-build-isolation --no-deps --wheel-dir /dist . \
 && pip --python /opt/tailorbird/bin/python install --no-deps --no-index /dist/*.whl

FROM ${BASE} AS base
RUN useradd --uid 10001 --user-group --no-log-init --no-create-home --home-dir /tmp tailorbird \
 && install --directory --owner=tailorbird --group=tailorbird /var/lib/tailorbird
ENV HOME=/tmp \
    PATH=/opt/tailorbird/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TAILORBIRD_HOME=/var/lib/tailorbird
WORKDIR /var/lib/tailorbird
USER 10001:10001
LABEL org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="MIT"

# Ray's nodes on Kubernetes run this too. Their probes are HTTP from KubeRay 1.6 on; older ones would need wget here.
FROM base AS train
LABEL org.opencontainers.image.title="Tailorbird training" \
      org.opencontainers.image.description="Hyperparameter sweeps of image classifiers on Ray"
ENV RAY_USAGE_STATS_ENABLED=0
COPY --from=train-packages /opt/tailorbird /opt/tailorbird
COPY --from=code /opt/tailorbird /opt/tailorbird
CMD ["tailorbird", "--help"]

FROM base AS serve
LABEL org.opencontainers.image.title="Tailorbird serving" \
      org.opencontainers.image.description="The HTTP endpoint of a model in a Tailorbird registry"
ENV BENTOML_DO_NOT_TRACK=True \
    HOST=0.0.0.0 \
    PORT=3000
COPY --from=serve-packages /opt/tailorbird /opt/tailorbird
COPY --from=code /opt/tailorbird /opt/tailorbird
EXPOSE 3000
# http.client goes past a proxy that the environment names.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s \
  CMD ["python", "-c", "import http.client, os, sys; c = http.client.HTTPConnection(os.environ['HOST'], os.environ['PORT'], timeout=4); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
CMD ["tailorbird", "serve"]
