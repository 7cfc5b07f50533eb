#!/usr/bin/env bash
# Sealed storage on the real data beside the clone, against a MinIO server of its own: two sites, the same answers at
# both, and an attacker with the root account of the server, each of whose acts is refused or caught.
#
#   test/acceptance-worm.sh [folder of the shared data]

# shellcheck source=test/acceptance-common.sh
. "$(dirname "$0")/acceptance-common.sh" "$@"

url=s3://evidence/site-a
a() { "$akidb" --store "$work/a" "$@"; }
b() { "$akidb" --store "$work/b" "$@"; }
in_place() { HOME="$work/home" "$akidb" --store "$url" "$@"; }
# ok <what it shows> command…: its result goes to $work/out
ok() {
  local what=$1; shift
  "$@" >"$work/out" 2>"$work/err" || fail "exit $?: $what: $(cat "$work/out" "$work/err")"
  pass "$what"
}
# expect <exit code> <word of its result> command…
expect() {
  local exit_code=$1 word=$2 status=0; shift 2
  "$@" >"$work/out" 2>"$work/err" || status=$?
  [ "$status" = "$exit_code" ] || fail "exit $status, expected $exit_code: $* $(cat "$work/out" "$work/err")"
  grep -q -- "$word" "$work/out" "$work/err" || fail "no $word in: $(cat "$work/out" "$work/err")"
  pass "$2 $3 is exit $exit_code $word"
}
# attack <done|refused> act…: what the attacker did; its key is $key
attack() {
  local wanted=$1 answer verdict; shift
  echo "$*" >&"${SERVER[1]}"
  read -r answer <&"${SERVER[0]}" || fail "the server is gone: $*"
  read -r verdict key _ <<<"$answer"
  [ "$verdict" = "$wanted" ] || fail "the attacker: $*: $answer"
  pass "the attacker: $*: $verdict"
}
# caught <code>: verify names what was just attacked
caught() {
  expect 24 "$1  $key" b worm verify "$url"
  grep -q "T[0-9:.]*Z" "$work/out" || fail "no time in: $(cat "$work/out")"
}

step 'a server, and a store'
coproc SERVER { exec "$node" test/support/minio-program.ts "$url"; }
server_pid=$SERVER_PID
read -r reach <&"${SERVER[0]}" || fail 'no server'
eval "$reach"
a -q init
a -q ingest labse "$data/labse-public.parquet"
a -q snapshot create labse checked
a keys export default >"$work/site-a.pem"
a -q --json search labse --queries "$data/labse-queries.parquet" -k 10 >"$work/a.jsonl"

step 'push: what it would cost, then for good'
seal=(--retain 90d --mode COMPLIANCE --kms-key site-a)
a --json push "$url" "${seal[@]}" -n >"$work/dry.json"
expect 21 NOT_FOUND a worm status "$url"
a --json push "$url" "${seal[@]}" >"$work/push.json"
[ "$(field bytes <"$work/dry.json")" = "$(field bytes <"$work/push.json")" ] || fail 'another size'
[ "$(field retention.mode <"$work/push.json")" = COMPLIANCE ] || fail 'no lock'
[ "$(field kmsKey <"$work/push.json")" = site-a ] || fail 'no key'
pass "$(field blobs.uploaded <"$work/push.json") blobs, locked until $(field retention.until <"$work/push.json")"
a --json push "$url" "${seal[@]}" >"$work/again.json"
[ "$(field bytes <"$work/again.json")" = 0 ] || fail 'the second push sent something'
pass 'the second push sends nothing'
expect 23 RETENTION a push "$url" --retain 2y --mode GOVERNANCE
expect 23 RETENTION a push s3://plain/site-a --retain 90d --mode COMPLIANCE
expect 2 --mode a push "$url" --retain 90d
expect 23 AUTH env AWS_SECRET_ACCESS_KEY=wrong "$akidb" --store "$work/a" push "$url"

step 'status and verify'
a --json worm status "$url" >"$work/status.json"
[ "$(field states.0.labels.0 <"$work/status.json")" = checked ] || fail 'no snapshot in the table'
[ "$(field states.0.rows <"$work/status.json")" = 20000 ] || fail 'not 20,000 rows in the table'
pass 'worm status shows the snapshot and 20,000 rows'
ok 'every byte is as it was sealed' a worm verify "$url" --read-data
ok 'and without a store, by the key alone' env HOME="$work/home" "$akidb" worm verify "$url" --key "$work/site-a.pem"
ok 'the two logs agree' a audit verify "$url"

step 'the other site'
b -q init
expect 24 UNTRUSTED b pull "$url"
b -q keys trust "$work/site-a.pem" --name site-a --yes
ok 'pull -n' b pull "$url" -n
expect 21 NOT_FOUND b show labse
ok 'pull' b pull "$url"
a --json show labse | field stateRoot >"$work/root-a"
b --json show labse | field stateRoot >"$work/root-b"
same "$work/root-a" "$work/root-b" 'the state root is the same'
b -q --json search labse --queries "$data/labse-queries.parquet" -k 10 >"$work/b.jsonl"
same "$work/a.jsonl" "$work/b.jsonl" '500 queries give the same answers, byte for byte'
expect 22 CONFLICT b delete labse FI-017
b --json pull "$url" >"$work/twice.json"
[ "$(field blobs.copied <"$work/twice.json")" = 0 ] || fail 'the second pull copied something'
pass 'the second pull copies nothing'

step 'the same, read in the bucket'
expect 24 UNTRUSTED in_place search labse --id FI-017
in_place -q keys trust "$work/site-a.pem" --name site-a --yes
in_place -q --json search labse --queries "$data/labse-queries.parquet" -k 10 >"$work/d.jsonl"
same "$work/a.jsonl" "$work/d.jsonl" 'the same answers again'
expect 23 AUTH in_place delete labse FI-017

step 'hold, release, extend'
ok 'hold' a worm hold "$url" labse --snapshot checked
a --json worm status "$url" | grep -q '"legalHold":true' || fail 'no hold in the table'
ok 'release' a worm release "$url" labse --snapshot checked
ok 'extend' a worm extend "$url" --retain 1y --mode COMPLIANCE
ok 'all of it verifies' b worm verify "$url"

step 'the attacker: what a lock refuses'
attack refused delete blobs/
attack refused delete manifests/
attack refused delete .proof
attack refused shorten blobs/
attack refused unlock seals/
ok 'nothing of that left a trace' b worm verify "$url"

step 'the attacker: what a lock does not refuse'
attack done overwrite manifests/; caught SHADOWED
attack done hide blobs/; caught DELETED
attack done backdate akidb.json; caught SHADOWED
in_place -q --json search labse --queries "$data/labse-queries.parquet" -k 10 >"$work/e.jsonl"
same "$work/a.jsonl" "$work/e.jsonl" 'read in the bucket, what was sealed is found'
attack done hide /checkpoint/; caught DELETED
attack done swap /pieces/; caught SHADOWED
expect 24 SHADOWED a audit verify "$url"
b -q drop labse --confirm labse
b -q gc --keep 0s
b -q pull "$url"
b -q --json search labse --queries "$data/labse-queries.parquet" -k 10 >"$work/c.jsonl"
same "$work/a.jsonl" "$work/c.jsonl" 'pull still brings what was sealed'
ok 'every byte of it checks out' b check --read-data

step 'the attacker: GOVERNANCE, and a hold'
url=s3://evidence/site-a/weak
printf '{"id":"x","vector":[1,2]}\n' | a -q ingest few - --format jsonl
ok 'push under GOVERNANCE' a push "$url" few --retain 90d --mode GOVERNANCE --legal-hold
attack done release weak/blobs/
expect 24 RELEASED b worm verify "$url"
attack done shorten weak/blobs/
expect 24 SHORTENED b worm verify "$url"
attack done delete weak/blobs/
expect 24 MISSING b worm verify "$url"
expect 24 INTEGRITY b pull "$url"
attack refused delete weak/seals/

step 'the attacker: the log at home'
url=s3://evidence/site-a
cp -r "$work/a/audit" "$work/audit"
ok 'a push that is to be forgotten' a push "$url" labse --retain 2y --mode COMPLIANCE
rm -r "$work/a/audit" && cp -r "$work/audit" "$work/a/audit"
expect 24 TRUNCATED a audit verify "$url"
expect 24 AUDIT_BROKEN a push "$url" labse --retain 3y --mode COMPLIANCE

exec {SERVER[1]}>&-
wait "$server_pid"
printf '\nacceptance-worm: %s passed in %s s\n' "$passed" "$SECONDS"
