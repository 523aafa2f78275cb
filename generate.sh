#!/usr/bin/env bash
# ./generate.sh: regenerates generated/ from openapi.yaml and overrides/. ./generate.sh --help describes the options.
set -euo pipefail
root=$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")
for argument; do
    case $argument in
        # This needs no toolchain. Where the first Python is too old for codegen, the one in .venv is not.
        -h | --help) PYTHONPATH=$root python3 -P -m codegen --help 2>/dev/null && exit ;;
        --quiet) export QUIET=1 ;;
    esac
done
# PYTHONPATH has codegen, which is not installed. -P: nothing is imported from the current folder.
exec "$root/scripts/venv" generate env PYTHONPATH="$root" python -P -m codegen "$@"
