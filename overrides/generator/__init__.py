"""The build-time half of the overrides: from `openapi.yaml` to `generated/`. Run `./generate.sh`."""
