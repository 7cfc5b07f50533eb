/** `akidb help buckets`. */
export const bucketsText = `\
A store in a bucket, changed by several machines

  akidb --store s3://vectors/site-a init               once; tries what the bucket must do
  akidb --store s3://vectors/site-a ingest docs a.jsonl
  akidb --store s3://vectors/site-a serve              on one machine
  akidb --store s3://vectors/site-a init               once on every other machine
  akidb --store s3://vectors/site-a ingest docs b.jsonl
  akidb --store s3://vectors/site-a gc                 on any of them

The server is named by --s3-endpoint or AKIDB_S3_ENDPOINT, the user by AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY. The bucket must have no default retention.

Nobody locks anybody out: of two that commit at once one computes again. Single writes (serve, the
library) go through a log in the bucket that one process owns; a second one takes it over, and the
first is told. Other machines see single writes after a second, and gc keeps an hour of states.

Each machine has a state folder with its keys and its audit log. Carry the public keys over, so that
check and audit verify believe the logs of all:

  akidb --store s3://vectors/site-a keys export default > a.pub
  akidb --store s3://vectors/site-a keys trust a.pub --name a     on the other machine

Sealed collections in a bucket are another thing: akidb help worm.`
