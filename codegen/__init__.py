"""Build time, not shipped: from `openapi.yaml` to `generated/`, run by `./generate.sh`."""
