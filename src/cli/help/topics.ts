/** A text for `akidb help <topic>`; loaded when it is asked for. */
export interface Topic {
  readonly name: string
  readonly summary: string
  load(): Promise<string>
}

/** Every topic, in the order of the help. */
export const TOPICS: readonly Topic[] = [
  {
    name: 'options',
    summary: 'options that every command takes',
    load: async () => (await import('./options.ts')).optionsText(),
  },
  {
    name: 'exit-codes',
    summary: 'what each exit code means',
    load: async () => (await import('./exit-codes.ts')).exitCodesText(),
  },
  {
    name: 'config',
    summary: 'where values come from, and their keys',
    load: async () => (await import('./config.ts')).configText(),
  },
  {
    name: 'output',
    summary: 'JSON, progress, logs, cron',
    load: async () => (await import('./output.ts')).outputText,
  },
  {
    name: 'ingest',
    summary: 'files, columns, types, rejected rows',
    load: async () => (await import('./ingest.ts')).ingestText,
  },
  {
    name: 'search',
    summary: 'ways to search: vectors, words, both, groups, trees',
    load: async () => (await import('./search.ts')).searchText,
  },
  {
    name: 'filters',
    summary: 'the filter language',
    load: async () => (await import('./filters.ts')).filtersText,
  },
  {
    name: 'states',
    summary: 'versions, labels, state roots and times',
    load: async () => (await import('./states.ts')).statesText,
  },
  {
    name: 'bundles',
    summary: 'carry data to another machine',
    load: async () => (await import('./bundles.ts')).bundlesText,
  },
  {
    name: 'worm',
    summary: 'seal data in a bucket, and prove that it is unchanged',
    load: async () => (await import('./worm.ts')).wormText,
  },
  {
    name: 'buckets',
    summary: 'a store in a bucket, changed by several machines',
    load: async () => (await import('./buckets.ts')).bucketsText,
  },
  {
    name: 'keys',
    summary: 'keys, passphrases and trust',
    load: async () => (await import('./keys.ts')).keysText,
  },
  {
    name: 'audit',
    summary: 'the audit log and its proofs',
    load: async () => (await import('./audit.ts')).auditText,
  },
]
