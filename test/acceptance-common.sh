# What the acceptance scripts share: sourced by them with their arguments, before anything else.

set -euo pipefail
name=$(basename "$0" .sh)
cd "$(dirname "$0")/.."
data=${1:-../shared/data}
if [ ! -f "$data/labse-public.parquet" ]; then
  echo "$name: no labse-public.parquet in $data" >&2
  exit 2
fi
data=$(cd "$data" && pwd)
work=$(mktemp -d -t akidb-acceptance.XXXXXX)
trap 'rm -rf "$work"' EXIT
export AKIDB_PROGRESS=none NO_COLOR=1
passed=0
akidb=$PWD/bin/akidb
node=$PWD/node_modules/.bin/node

step() { printf '\n== %s (%s s)\n' "$*" "$SECONDS"; }
pass() { passed=$((passed + 1)); echo "PASS $*"; }
fail() { echo "FAIL $*" >&2; exit 1; }
# Takes a value out of a JSON document on stdin: field document.path.to.value
field() { "$node" -e '
  const value = process.argv[1].split(".").reduce((at, key) => at?.[key],
    JSON.parse(require("node:fs").readFileSync(0, "utf8")))
  console.log(typeof value === "object" ? JSON.stringify(value) : String(value))' "$1"; }
same() { cmp -s "$1" "$2" || fail "$3: $1 and $2 differ"; pass "$3"; }
