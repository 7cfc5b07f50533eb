#!/usr/bin/env bash
# The user story on the real data beside the clone: two stores that share nothing, and the same answers on both.
# Uses bin/akidb, tar, sha256sum and openssl alone. Prints each step and PASS lines; any failure ends it.
#
#   test/acceptance.sh [folder of the shared data]

# shellcheck source=test/acceptance-common.sh
. "$(dirname "$0")/acceptance-common.sh" "$@"

a() { "$akidb" --store "$work/a" "$@"; }
b() { "$akidb" --store "$work/b" "$@"; }
# ok <what it shows> command…: prints what the command says, and ends the run where it fails.
# (`command && pass` would go on after a failure: bash -e does not look at the left side of &&.)
ok() {
  local what=$1; shift
  "$@" || fail "exit $?: $what"
  pass "$what"
}
# expect <exit code> <word of stderr> command…
expect() {
  local exit_code=$1 word=$2 status=0; shift 2
  "$@" >"$work/out" 2>"$work/err" || status=$?
  [ "$status" = "$exit_code" ] || fail "exit $status, expected $exit_code: $* $(cat "$work/err")"
  grep -q -- "$word" "$work/out" "$work/err" || fail "no $word in: $(cat "$work/out" "$work/err")"
  pass "$(basename "$1") ${*: -2} is exit $exit_code $word"
}

step 'a store, and a look at what an ingest would do'
expect 21 NOT_FOUND a ingest labse "$data/labse-public.parquet"
a init
ok 'init twice is harmless' a init
a ingest labse "$data/labse-public.parquet" -n >"$work/preview" 2>&1
grep -q embedding "$work/preview" || fail 'the preview names no vector column'
pass 'ingest -n shows the columns'

step 'ingest: Parquet with vectors, CSV and JSONL with text'
a --json ingest labse "$data/labse-public.parquet" --text-column text >"$work/labse.json"
[ "$(field inserted <"$work/labse.json")" = 20000 ] || fail 'not 20,000 rows'
pass '20,000 rows of Parquet'
a --json ingest labse "$data/labse-public.parquet" --text-column text >"$work/again.json"
[ "$(field files.0.skipped <"$work/again.json")" = true ] || fail 'the same file was taken twice'
pass 'the same file again is skipped by its digest'
for kind in csv jsonl; do
  a --json ingest "cran-$kind" "$data/cranfield/docs.$kind" --text-column text >"$work/$kind.json"
  [ "$(field inserted <"$work/$kind.json")" = 1400 ] || fail "not 1,400 rows of $kind"
  a --json search "cran-$kind" --queries "$data/cranfield/queries.jsonl" -k 10 \
    >"$work/cran-$kind.jsonl"
  "$node" test/support/ndcg.mjs "$data/cranfield" "$work/cran-$kind.jsonl" || fail "nDCG of $kind"
  pass "BM25 over $kind reaches the reference"
done

step 'search: by vector, by words, with every filter'
a --json search labse --queries "$data/labse-queries.parquet" -k 10 >"$work/a.jsonl"
"$node" test/support/recall.mjs "$data/labse-truth.json" "$work/a.jsonl" 0.97 || fail 'recall'
pass 'recall@10 of 500 queries'
for i in 0 1 2 3; do
  "$node" test/support/recall.mjs --filter "$i" "$data/labse-filter-truth.json" >"$work/filter.json"
  a --json search labse --queries "$data/labse-queries.parquet" -k 10 \
    --filter "@$work/filter.json" >"$work/filtered.jsonl"
  "$node" test/support/recall.mjs "$data/labse-filter-truth.json#$i" "$work/filtered.jsonl" 0.95 ||
    fail "recall with filter $i"
  pass "recall@10 with filter $(cat "$work/filter.json")"
done
a --json search labse --text 'kello kahdeksan' -k 3 --with-source >"$work/text.json"
[ "$(field hits.0.source.file <"$work/text.json")" = labse-public.parquet ] || fail 'no source'
pass 'a hit names its file and row'
expect 26 768 a search labse --vector '[1,2,3]'
expect 21 NOT_FOUND a search nothing --text x

step 'snapshot, a wrong ingest, and back'
a snapshot create labse checked
printf '{"id":"FI-017","lang":"FI","text":"wrong","chars":5,"embedding":[%s]}\n' \
  "$(seq -s, 1 768)" >"$work/wrong.jsonl"
a ingest labse "$work/wrong.jsonl" --reason 'a mistake'
a --json get labse FI-017 | grep -q '"wrong"' || fail 'the wrong record is not there'
a --json search labse --queries "$data/labse-queries.parquet" -k 10 --as-of checked >"$work/asof.jsonl"
same "$work/a.jsonl" "$work/asof.jsonl" 'the pinned state still gives the same answers'
a revert labse checked
a --json search labse --queries "$data/labse-queries.parquet" -k 10 >"$work/reverted.jsonl"
same "$work/a.jsonl" "$work/reverted.jsonl" 'after the revert the answers are the same'
a log labse

step 'the audit log'
a --json audit log >"$work/audit.jsonl"
grep -q 'a mistake' "$work/audit.jsonl" || fail 'the reason is not in the audit log'
ok 'the audit log verifies' a audit verify
ok 'every byte of the store checks out' a check --read-data

step 'export, and the walk'
a export labse cran-csv -o "$work/site-a.akipkg"
a keys export default >"$work/site-a.pem"
ls -l "$work/site-a.akipkg"
a --json show labse | field stateRoot >"$work/root-a"
cp "$work/site-a.akipkg" "$work/carried.akipkg"
mkdir "$work/plain" && tar -xf "$work/carried.akipkg" -C "$work/plain"
(cd "$work/plain" && find . -path '*blobs/*' -type f | sort | while read -r file; do
  case $file in *.[0-9][0-9][0-9]) continue ;; esac
  [ "$(sha256sum <"$file" | cut -d' ' -f1)" = "$(basename "$file")" ] || exit 1
done) || fail 'a blob is not named by its digest'
pass 'tar and sha256sum alone find every blob intact'

step 'the other machine'
b init
"$akidb" bundle inspect "$work/carried.akipkg"
expect 24 UNTRUSTED b bundle verify "$work/carried.akipkg"
expect 24 UNTRUSTED b import "$work/carried.akipkg"
ok 'it verifies with the key' "$akidb" bundle verify "$work/carried.akipkg" --key "$work/site-a.pem"
b keys trust "$work/site-a.pem" --name site-a --yes
cp "$work/carried.akipkg" "$work/broken.akipkg"
size=$(stat -c %s "$work/broken.akipkg")
printf '\377' | dd of="$work/broken.akipkg" bs=1 seek=$((size / 2)) conv=notrunc status=none
expect 24 INTEGRITY b import "$work/broken.akipkg"
b --json list >"$work/list.json"
[ "$(field collections.length <"$work/list.json")" = 0 ] || fail 'a broken bundle left a collection'
pass 'a broken bundle leaves nothing behind'
b import "$work/carried.akipkg"
b --json show labse | field stateRoot >"$work/root-b"
same "$work/root-a" "$work/root-b" 'the state root is the same'
b --json search labse --queries "$data/labse-queries.parquet" -k 10 >"$work/b.jsonl"
same "$work/a.jsonl" "$work/b.jsonl" '500 queries give the same answers, byte for byte'
b --json search cran-csv --queries "$data/cranfield/queries.jsonl" -k 10 >"$work/b-cran.jsonl"
same "$work/cran-csv.jsonl" "$work/b-cran.jsonl" '225 text queries give the same answers'
expect 22 CONFLICT b delete labse FI-017
b --json import "$work/carried.akipkg" >"$work/twice.json"
[ "$(field blobs.copied <"$work/twice.json")" = 0 ] || fail 'the second import copied something'
pass 'importing twice copies nothing'

step 'a delta'
a delete labse FI-017
a export labse cran-csv -o "$work/delta.akipkg" --since last
full=$(stat -c %s "$work/site-a.akipkg"); delta=$(stat -c %s "$work/delta.akipkg")
[ $((delta * 10)) -lt "$full" ] || fail "the delta takes $delta of $full bytes"
pass "the delta takes $delta of $full bytes"
b import "$work/delta.akipkg"
expect 21 NOT_FOUND b get labse FI-017
expect 24 ROLLBACK b import "$work/carried.akipkg"
ok 'the second audit log verifies' b audit verify
ok 'the second store checks out' b check --read-data

printf '\nacceptance: %s passed in %s s\n' "$passed" "$SECONDS"
