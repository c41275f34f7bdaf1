#!/usr/bin/env bash
# Installs the wheel into a fresh environment with the lowest versions of its dependencies that pyproject.toml declares,
# and runs the quick tests against it.
#
#     bash docs/check_lowest.sh [--newest] [PYTHON [TESTS …]]
#
# PYTHON is an interpreter (default python3), TESTS what pytest runs (default tests). --newest takes the newest versions.
# WHERE=DIR keeps the environment there, and uses the one that is there.
set -euo pipefail
cd "$(dirname "$0")/.."

versions=lowest
if [ "${1:-}" = --newest ]; then
  versions=newest
  shift
fi
python="${1:-python3}"
shift || true
[ $# -gt 0 ] || set -- tests

where="${WHERE:-$(mktemp -d)}"
[ -n "${WHERE:-}" ] || trap 'rm -rf "$where"' EXIT
mkdir -p "$where"
where="$(cd "$where" && pwd)"
[ -x "$where/env/bin/python" ] || "$python" -m venv "$where/env"
. "$where/env/bin/activate"

pip install --quiet build uv
: >"$where/pins.txt"
if [ "$versions" = lowest ]; then
  uv pip compile --quiet --resolution lowest-direct --extra dev --output-file "$where/pins.txt" pyproject.toml
fi
rm -rf "$where/dist"
python -m build --quiet --wheel --outdir "$where/dist" .
wheel="$(ls "$where"/dist/*.whl)"
pip install --quiet --constraint "$where/pins.txt" "${wheel}[dev]"
pip install --quiet --force-reinstall --no-deps "$wheel" # one of the same version may be there
pip list --format=freeze | grep -i -E '^(torch|numpy|pillow|numba|pydantic|tifffile)==' || true
# Not from src/, but from the wheel.
python -m pytest --quiet --override-ini pythonpath=docs "$@"
python -c "import impasto, sys; print(impasto.__file__, *sys.version_info[:3])"
