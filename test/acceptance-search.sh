#!/usr/bin/env bash
# Searching the real data beside the clone, in every way there is: recall against the exact answers, words against the
# reference, filters, queries built of queries, codes, memory budgets, and that a rebuilt index has the same bytes.
#
#   test/acceptance-search.sh [folder of the shared data]

# shellcheck source=test/acceptance-common.sh
. "$(dirname "$0")/acceptance-common.sh" "$@"

a() { "$akidb" --store "$work/a" "$@"; }
ids() { "$node" -e '
  const { hits } = JSON.parse(require("node:fs").readFileSync(0, "utf8"))
  console.log(hits.map((hit) => hit.id).join())'; }
is() { [ "$1" = "$2" ] || fail "$3: $1, not $2"; pass "$3: $1"; }
recall() { "$node" test/support/recall.mjs "$@" || fail "recall of $2"; }
# expect <exit code> <word of stderr> command…
expect() {
  local exit_code=$1 word=$2 status=0; shift 2
  "$@" >"$work/out" 2>"$work/err" || status=$?
  [ "$status" = "$exit_code" ] || fail "exit $status, expected $exit_code: $* $(cat "$work/err")"
  grep -q -- "$word" "$work/out" "$work/err" || fail "no $word in: $(cat "$work/out" "$work/err")"
  pass "${*: -2} is exit $exit_code $word"
}

step 'ingest'
a -q init
a -q ingest labse "$data/labse-public.parquet" --text-column text
a -q ingest cran "$data/cranfield/docs.csv" --text-column text
is "$(a --json count labse | field count)" 20000 'rows'

step 'vectors: recall against the exact answers'
a -q --json search labse --queries "$data/labse-queries.parquet" >"$work/walk.jsonl"
recall "$data/labse-truth.json" "$work/walk.jsonl" 0.985
pass 'recall at the default ef'
a -q --json search labse --queries "$data/labse-queries.parquet" --exact >"$work/exact.jsonl"
recall "$data/labse-truth.json" "$work/exact.jsonl" 0.9999
pass 'recall of the exact search'
id=$(head -1 "$work/walk.jsonl" | "$node" -e '
  console.log(JSON.parse(require("node:fs").readFileSync(0, "utf8")).hits[0].id)')
for filter in 0 1 2 3; do
  text=$("$node" test/support/recall.mjs --filter $filter "$data/labse-filter-truth.json")
  a -q --json search labse --queries "$data/labse-queries.parquet" --filter "$text" >"$work/f.jsonl"
  recall "$data/labse-filter-truth.json#$filter" "$work/f.jsonl" 0.95
  pass "recall under filter $filter"
done
estimate=$(a --json index recall labse | field recall)
"$node" -e "process.exit($estimate >= 0.97 ? 0 : 1)" || fail "index recall says $estimate"
pass "index recall estimates $estimate"

step 'the same bits: by one thread or two, in memory or on disk, after a rebuild'
a -q --threads 1 --json search labse --queries "$data/labse-queries.parquet" >"$work/one.jsonl"
same "$work/walk.jsonl" "$work/one.jsonl" 'one thread answers as two do'
a -q --memory 40MiB --json search labse --queries "$data/labse-queries.parquet" >"$work/disk.jsonl"
same "$work/walk.jsonl" "$work/disk.jsonl" 'vectors on disk answer as those in memory do'
expect 27 memory a --memory 16MiB search labse --id "$id" -k 1
before=$(a --json show labse | field stateRoot)
a -q index build labse --again
is "$(a --json show labse | field stateRoot)" "$before" 'an index built again has the same bytes'

step 'codes of other kinds'
for form in binary pq; do
  a -q index build labse --quantization $form
  a -q --json search labse --queries "$data/labse-queries.parquet" >"$work/$form.jsonl"
  recall "$data/labse-truth.json" "$work/$form.jsonl" 0.95
  pass "recall with $form codes"
done
a -q index build labse --quantization int8
is "$(a --json show labse | field stateRoot)" "$before" 'int8 again is the state before'

step 'words'
a -q --json search cran --queries "$data/cranfield/queries.jsonl" -k 10 >"$work/cran.jsonl"
"$node" test/support/ndcg.mjs "$data/cranfield" "$work/cran.jsonl" 0.002 || fail 'nDCG'
pass 'BM25 reaches the reference'
a --json search cran --text '"boundary layer"' -k 5 >"$work/phrase.json"
"$node" -e '
  const { hits } = JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"))
  process.exit(hits.length === 5 && hits.every((hit) => /boundary layer/i.test(hit.payload.text)) ? 0 : 1)
' "$work/phrase.json" || fail 'a phrase'
pass 'a phrase finds that phrase'
a --json search cran --text 'aerodyn*' -k 5 | ids | grep -q , || fail 'a prefix'
pass 'a prefix finds words that begin so'

step 'filters'
a --json count labse --filter '{"lang":"UKR"}' >"$work/count.json"
is "$(field count <"$work/count.json")" 32 'rows in Ukrainian'
is "$(a --json facet labse lang --limit 1 | field distinct)" 611 'languages'
filter='{"must":[{"key":"chars","range":{"gte":61}}],"must_not":[{"key":"lang","match":{"any":["UKR","FRA"]}}]}'
some=$(a --json count labse --filter "$filter" | field count)
[ "$some" -gt 1900 ] && [ "$some" -le 2032 ] || fail "$some rows"
pass "must and must_not: $some rows"
words='{"must":[{"key":"text","match":{"text":"boundary layer"}}]}'
[ "$(a --json count cran --filter "$words" | field count)" -gt 100 ] || fail 'match text'
pass 'match text'
printf '%s\n' '{"id":"hel","at":{"lat":60.17,"lon":24.94},"n":[1,2]}' \
  '{"id":"tll","at":{"lat":59.44,"lon":24.75},"n":[]}' '{"id":"cph","at":{"lat":55.68,"lon":12.57}}' |
  a -q ingest places - --format jsonl --text-column id
near='{"must":[{"key":"at","geo_radius":{"center":{"lat":60.17,"lon":24.94},"radius":100000}}]}'
is "$(a --json count places --filter "$near" | field count)" 2 'places within 100 km of Helsinki'
two='{"must":[{"key":"n","values_count":{"gte":2}}]}'
is "$(a --json count places --filter "$two" | field count)" 1 'values_count'

step 'queries built of queries'
a --json search labse --like "$id" -k 5 | ids | grep -vq "$id" || fail 'recommend'
pass "records like $id"
a --json search labse --id "$id" --group-by lang --group-size 1 -k 5 | field groups.length |
  grep -q 5 || fail 'groups'
pass 'the best hit of each of five languages'
a --json search labse --id "$id" --mmr 0.5 -k 5 | ids | grep -q , || fail 'mmr'
pass 'hits that differ'
a --json search labse --order-by chars --descending -k 1 | field hits.0.payload.chars >"$work/longest"
is "$(cat "$work/longest")" 137 'the longest text'
is "$(a --json search labse --sample 5 --seed 7 | ids)" "$(a --json search labse --sample 5 --seed 7 | ids)" \
  'a sample is the same at every call'
"$node" -e '
  const id = process.argv[1]
  console.log(JSON.stringify({ k: 5, query: { fusion: { kind: "dbsf" } },
    prefetch: [{ query: { id }, k: 50 }, { query: { text: "book" }, k: 50 }] }))' "$id" >"$work/tree.json"
a --json search labse --query "@$work/tree.json" | ids | grep -q , || fail 'a tree'
pass 'vectors and words, fused by their distributions'

step 'hostile queries'
expect 26 DIMENSION_MISMATCH a search labse --vector '[1,2,3]'
"$node" -p 'JSON.stringify(Array(768).fill(0)).replace("0", "1e400")' >"$work/infinite.json"
expect 26 BAD_INPUT a search labse --vector "$work/infinite.json"
expect 26 BAD_INPUT a search labse --text a -k 0
expect 27 LIMIT a search labse --text a -k 10001
"$node" -p '"{\"must\":[".repeat(1000) + "]}".repeat(1000)' >"$work/deep.json"
expect 27 LIMIT a search labse --text a --filter "@$work/deep.json"
"$node" -e 'console.log(JSON.stringify({ query: { text: "wort ".repeat(2e5) } }))' >"$work/long.json"
expect 27 LIMIT a search labse --query "@$work/long.json"
echo '{"id":"a","vector":[1,2]}' | a -q ingest low - --format jsonl
expect 2 256 a index build low --quantization binary

printf '\n%s PASS, %s s\n' "$passed" "$SECONDS"
