"""The build-time half of the overrides: from `openapi.yaml` to `generated/` by `./generate.sh`."""
