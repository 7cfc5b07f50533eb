export const ingestText = `akidb ingest <collection> <file|folder|glob|->…

Formats       CSV and JSONL, also wrapped in gzip or zstd, and Parquet; guessed, or said with
              --format.
Columns       The id is guessed from id, _id, key, uuid; the vector from vector, embedding,
              embeddings, values. The guess is said. All others are payload, unless --columns
              narrows them. A vector may be JSON text, separated numbers, or one column a
              component (--vector-columns 'v*').
Text          --text-column, once for each column that search --text reads. --text-positions at
              the first ingest: phrases are found without reading texts. Later files have these
              columns too; JSONL may lack them, which is said.
Types         A CSV column is integer, float or boolean when its first 10,000 non-empty cells all
              are, in canonical form (no leading zero or plus), else string. What does not fit
              later stays text, with a warning; with --types it is rejected. An unquoted empty
              cell is null.
Bad rows      Go to the rejects file with file, row, column and reason. More of them than
              --max-rejects (0) make exit 20; the rest is committed. --on-bad-row stop commits
              nothing.
Again         A file that was taken before, with the same options, is skipped; --again takes it.
              An ingest that was killed goes on where it was. Nobody sees half a file.
Look first    -n shows columns, guesses, the first rows and the first rejects.
stdin         - commits segment by segment and does not resume.

Of several records with one id the last wins. A record with a known id replaces the old one.
`
