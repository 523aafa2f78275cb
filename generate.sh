#!/usr/bin/env bash
# ./generate.sh: regenerates generated/ from openapi.yaml and overrides/. ./generate.sh --help describes the options.
set -euo pipefail
# In a subshell: paths among the arguments are relative to the folder of the caller.
root=$(
    unset CDPATH; self=${BASH_SOURCE[0]}
    while [[ -L $self ]]; do cd -P -- "$(dirname -- "$self")"; self=$(readlink -- "${self##*/}"); done
    cd -P -- "$(dirname -- "$self")"; pwd
)
for argument; do
    case $argument in
        # This needs no toolchain. Where the first Python is too old for codegen, the one in .venv is not.
        -h | --help) PYTHONPATH=$root python3 -P -m codegen --help 2>/dev/null && exit ;;
        --quiet) export QUIET=1 ;;
    esac
done
# PYTHONPATH has codegen, which is not installed. -P: nothing is imported from the current folder.
exec "$root/scripts/venv" generate env PYTHONPATH="$root" python -P -m codegen "$@"
