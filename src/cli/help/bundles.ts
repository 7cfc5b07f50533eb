export const bundlesText = `\
A bundle (.akipkg) carries states of collections to another machine, signed.

  akidb export docs -o docs.akipkg                    here
  akidb keys export default > site.pem                once, for the other side

  akidb bundle inspect docs.akipkg                    there: what it says it holds
  akidb bundle verify docs.akipkg --key site.pem      every byte and signature, without a store
  akidb keys trust site.pem                           once: compare the fingerprint first
  akidb import docs.akipkg                            all of it or nothing of it

A later bundle may be a delta: export --since last ships what the last one lacks; --since takes a
state root or a bundle too. import is harmless twice. An imported collection follows its origin
and refuses changes of its own, unless --diverge. An older bundle than the last is exit 24
(ROLLBACK); akidb replay opens one of any age read-only, addressed as <name>@<12 hex digits>.

export --kms-key site-a encrypts the bundle under a key of a key server (MinIO KES); the commands
that read bundles know such a file by itself and ask that server: --kes-endpoint, --kes-client-cert,
--kes-client-key, or the configuration (akidb help config). akidb kms rewrap moves it to another
key without decrypting it.

A signer that is not trusted is exit 24, never a warning. VERIFY.txt in the bundle says how to
check it with tar, sha256sum and openssl alone.
`
