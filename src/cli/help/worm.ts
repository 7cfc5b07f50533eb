export const wormText = `\
Sealed storage: collections in a bucket of any S3 server with object lock, where nobody, not even
you, can change or delete them before their time.

  export AKIDB_S3_ENDPOINT=https://minio.local:9000
  export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…
  akidb push s3://evidence/site-a -n --retain 7y --mode COMPLIANCE     what it would cost
  akidb push s3://evidence/site-a --retain 7y --mode COMPLIANCE --kms-key site-a
  akidb worm status s3://evidence/site-a                               what lies there
  akidb worm verify s3://evidence/site-a                               on any later day
  akidb pull s3://evidence/site-a                                      back, or at another site

  akidb --store s3://evidence/site-a keys trust site-a.pub             once, to read it in place
  akidb --store s3://evidence/site-a search docs --text …

The bucket is made with object lock (mc mb --with-lock); it cannot be switched on later. COMPLIANCE
holds against everybody; GOVERNANCE can be lifted by those whom the server's policy lets. The end
is rounded up to the first of a month. Try it with GOVERNANCE and a short time first: what is
locked under COMPLIANCE costs its room until then.

Object lock keeps versions; it does not keep others from putting newer versions or delete markers
above them. So every object is sealed by its version id and read by it, and worm verify lists the
versions: one too many is exit 24, named with its time, and pull still brings the sealed one.

For a server without a KMS, push --envelope-key site-a encrypts the blobs here before they are sent,
under a key of a key server (akidb help kms); pull and --store s3://… ask that server, worm verify
needs none. Manifests are not encrypted so.

What is sealed keeps the key of the KMS that it was sealed under: a lock keeps the version, and
another key would be another version. push --kms-key with another key seals the blobs once more.

What was sealed is told by records that the audit log names, under a checkpoint that is locked in
the bucket too. pull and worm believe keys that are trusted (akidb help keys) and nothing else.
`
