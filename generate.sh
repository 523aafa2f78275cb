#!/usr/bin/env bash
# Regenerates generated/ from openapi.yaml and overrides/. ./generate.sh --help tells all of it.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export PYTHONPATH="$root"  # codegen, which is not installed
for argument; do
    case $argument in
        # Needs no toolchain; where the first Python is too old for it, the .venv below is not.
        -h | --help) python3 -P -m codegen --help 2>/dev/null && exit ;;
        --quiet) export QUIET=1 ;;
    esac
done
"$root/scripts/venv" generate
exec "$root/.venv/bin/python" -P -m codegen "$@"  # -P: not what lies in the current folder
