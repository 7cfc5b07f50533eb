import { Option } from './commander.ts'

/** Options that every command takes, before or after its name. */
export const globalOptions = (): Option[] => [
  new Option('--store <folder|s3 url>', 'the store (default: ./akidb-data where it exists)'),
  new Option('--state <folder>', 'the state folder: keys, locks, cache (default: <store>/local)'),
  new Option('--config <file>', 'read this configuration instead of ./akidb.config.json'),
  new Option('--json', 'print one JSON document; errors and warnings as JSON on stderr'),
  new Option('-q, --quiet', 'no chatter; work commands print nothing when all went well'),
  new Option('-v, --verbose', 'print more, and the stack of a bug'),
  new Option('--log-file <file>', 'append a log as JSON lines'),
  new Option('--progress <mode>', 'auto, bar, plain, json or none'),
  new Option('--no-color', 'no colour'),
  new Option('--no-input', 'never ask; fail naming the option that would have answered'),
  new Option('--lock-wait <duration>', 'how long to wait for a lock (default: 10s)'),
  new Option('--threads <n>', 'threads that build and search (default: cores, at most 8)'),
  new Option(
    '--memory <size>',
    'memory for open vector indexes (default: half of it); the rest of the vectors stays on disk',
  ),
  new Option('--s3-endpoint <url>', 'server of buckets: https://host:port'),
  new Option('--s3-region <name>', 'its region (default: us-east-1)'),
  new Option('--s3-addressing <style>', "where a bucket's name stands: path or virtual"),
  new Option('--s3-ca <file>', 'certificate authorities that its certificate may come from'),
  new Option('--s3-client-cert <file>', 'certificate to show it'),
  new Option('--s3-client-key <file>', 'key of that certificate'),
  new Option('--s3-cache <size>', 'disk cache of a store in a bucket (default: 10GiB)'),
  new Option('--offline', 'refuse every address but the loopback'),
  new Option('--reason <text>', 'why; goes into the audit log'),
  new Option(
    '--passphrase-file <file>',
    'read the passphrase of a key from this file, or - for stdin',
  ),
]
