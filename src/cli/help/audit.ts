export const auditText = `\
Every changing command writes an entry to the audit log before it acts, and one for the outcome.
Each entry names the one before it by its digest, and all are leaves of a Merkle tree (RFC 6962)
whose root is signed.

  akidb audit log --collection docs                who did what; --reason "…" says why
  akidb audit verify               nothing was cut, changed, or put in another order: else exit 24
  akidb audit checkpoint -o july.checkpoint        size and root, signed: keep it elsewhere
  akidb audit prove 17 -o entry-17.proof           proves one entry to who has the log's key
  akidb audit verify --proof entry-17.proof --key log.pem

Searches are logged as audit.queries says: off, digest (the default) or full. With audit.required
a search whose entry cannot be written is refused, exit 23.
`
