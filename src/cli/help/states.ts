export const statesText = `\
A collection is a row of states; every change adds one. --as-of, diff and revert name a state by

  a version        4                           the number in akidb log
  a label          friday                      made by akidb snapshot create
  a state root     64 hex digits               the digest of the data, the same on every machine
  a time           2026-07-01T12:00:00Z        the last commit at or before it; with a zone

revert commits an earlier state under the next number: the history stays. gc removes states that
are older than --keep (7 days) and that no snapshot names.
`
