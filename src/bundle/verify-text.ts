/**
 * VERIFY.txt: how to check a bundle with tar, sha256sum and openssl alone. The indented lines are
 * the commands; they work in any POSIX shell and stop with an error at the first thing that is
 * wrong. The same bytes in every bundle.
 */
export const VERIFY_TEXT = String.raw`This is an akidb bundle.

"akidb bundle verify" checks all of it; this page says how to do the same with
tar, sha256sum and openssl (3.0 or newer) alone, in an empty folder.

Do not take these commands from a bundle that you do not trust yet: the same
page is in the documentation of akidb.

You need two things: the bundle as ../bundle.akipkg, and ../signer.pem, the
public key of its sender. Take the key from the sender, not from the bundle,
and compare its fingerprint with the sender by telephone.

    set -eu

1. The fingerprint of the key.

    fingerprint=$(openssl pkey -pubin -in ../signer.pem -outform DER | sha256sum | cut -c 1-64)
    echo "fingerprint $fingerprint"

2. Take the bundle apart.

    tar -tf ../bundle.akipkg > ../members
    tar -xf ../bundle.akipkg

3. The signature over HEAD.json. What is signed is the DSSE encoding of it:
   "DSSEv1", the length and the name of its type, its own length, its bytes.

    pattern="s/.*\"keyid\":\"$fingerprint\",\"sig\":\"\([^\"]*\)\".*/\1/p"
    sed -n "$pattern" HEAD.dsse | openssl base64 -d -A > ../head.sig
    type=application/vnd.akidb.bundle-head+json
    size=$(wc -c < HEAD.json | tr -d ' ')
    printf 'DSSEv1 %d %s %d ' $(printf %s "$type" | wc -c) "$type" "$size" > ../head.pae
    cat HEAD.json >> ../head.pae
    openssl pkeyutl -verify -pubin -inkey ../signer.pem -rawin -in ../head.pae -sigfile ../head.sig

4. The files that HEAD.json names, by their digests.

    file='"path":"[^"]*","bytes":[0-9]*,"sha256":"[0-9a-f]*"'
    grep -o "$file" HEAD.json > ../files
    sed 's/"path":"\([^"]*\)".*"sha256":"\(.*\)"/\2  \1/' ../files > ../sums
    sha256sum -c --strict --quiet ../sums

5. The blobs that the pages name: the digest of a blob is its name. The list of
   its chunks, which stands before it, is also the last part of it, before a
   tail of 32 bytes.

    record='s/^{"digest":"\([0-9a-f]*\)".*"carried":true}$/\1/p'
    cat pages/* 2> /dev/null | sed -n "$record" > ../blobs
    while read -r digest; do
    parts=$(ls -d "blobs/$digest" "blobs/$digest".[0-9][0-9][0-9] 2> /dev/null || true)
    cat $parts /dev/null > ../blob
    echo "$digest  ../blob" | sha256sum -c --strict --quiet
    list=$(wc -c < "chunks/$digest" | tr -d ' ')
    tail -c $((list + 32)) ../blob | head -c "$list" | cmp - "chunks/$digest"
    echo "chunks/$digest" >> ../wanted
    printf '%s\n' $parts >> ../wanted
    done < ../blobs

6. Nothing else may be in the bundle, and nothing twice.

    printf '%s\n' HEAD.json HEAD.dsse HEAD.tlog-proof >> ../wanted
    sed 's/"path":"\([^"]*\)".*/\1/' ../files >> ../wanted
    sort ../wanted > ../wanted.sorted
    sort ../members | cmp - ../wanted.sorted
    echo "the bundle is whole and signed by $fingerprint"

Two things need akidb: the order of the members, and HEAD.tlog-proof, which shows
that this export stands in the audit log of the sender (C2SP tlog-proof).
`
