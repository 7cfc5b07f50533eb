export const keysText = `\
init makes two Ed25519 keys in the state folder: log signs the audit log and has no passphrase;
default signs bundles.

  akidb keys generate site --passphrase-file pass.txt     another key
  akidb export docs -o docs.akipkg --key site             sign with it
  akidb keys export site > site.pem         its public half, for the receivers
  akidb keys trust site.pem                 on the receiving side, after comparing the fingerprint
  akidb keys backup -o keys.backup          losing the state folder loses the keys

A passphrase comes from --passphrase-file (refused where others can read it; - is stdin), from the
command in passphraseCommand, or from a question on a terminal; never from the value of an option.
A locked key without any of them is exit 23, before work starts. The fingerprint is the SHA-256 of
the public key as DER: openssl pkey -pubin -in site.pem -outform DER | sha256sum
`
