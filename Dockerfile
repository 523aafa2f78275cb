# The sandbox as a container, reached as http://localhost:8787:
#   docker build -t oneloop-sandbox .
#   docker run --rm -p 127.0.0.1:8787:8787 oneloop-sandbox
# docs/sandbox.md has its options, such as --allow-host for other names.
FROM python:3.13-slim AS build
WORKDIR /source
COPY requirements/sandbox.txt requirements/
RUN python -m venv /venv && /venv/bin/python -m pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements/sandbox.txt
COPY src src
COPY generated generated
COPY overrides overrides
# The wheel consists of these folders, so that nothing is built, and nothing but the pins is downloaded.
RUN cp -r src/* generated/oneloop_api overrides/oneloop_overrides /venv/lib/python3.*/site-packages/

FROM python:3.13-slim
COPY --from=build /venv /venv
USER 10001
EXPOSE 8787
ENTRYPOINT ["/venv/bin/python", "-m", "oneloop.sandbox", "--host", "0.0.0.0"]
