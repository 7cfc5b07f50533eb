import { stringifyJson } from '../../core/json.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { StoredRecord } from '../../index.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { plural } from '../human.ts'
import { sourceText } from '../source-text.ts'
import { fields } from '../table.ts'

interface GetFlags {
  readonly withVector?: true
  readonly asOf?: string
}

/** `akidb get`: records by id, and which source file and row each came from. */
export const defineGet = (command: Command, app: App): void => {
  describe(command, {
    summary: 'print records by id',
    examples: [
      ['akidb get docs a17', 'print one record, and which file and row it came from'],
      ['akidb get docs a17 a18 --with-vector --json', 'one JSON object a line'],
    ],
    exits: [20, 21, 24, 26],
  })
  command.argument('<collection>', 'its name').argument('<ids...>', 'ids of records')
  command.option('--with-vector', 'print the vector too')
  command.option('--as-of <state>', 'version, label, state root, or time')
  command.action((name: string, ids: string[], flags: GetFlags) =>
    app.run(command, (context) =>
      context.withStore('read', async (store) => {
        const collection = await store.collection(name)
        const records = await collection.get(ids, flags)
        const missing: string[] = []
        for (const [i, record] of records.entries()) {
          if (record === undefined) missing.push(ids[i] ?? '')
          else await context.item(recordResult(record), recordText(record))
        }
        if (missing.length === 0) return undefined
        throw new AkidbError(
          missing.length === ids.length ? 'NOT_FOUND' : 'PARTIAL',
          `collection "${name}" has no record ${missing.map((id) => `"${id}"`).join(', ')}`,
          { details: { collection: name, missing } },
        )
      }),
    ),
  )
}

const recordResult = (record: StoredRecord) => ({
  id: record.id,
  ...(record.vector === undefined ? {} : { vector: record.vector }),
  payload: record.payload,
  source: record.source ?? null,
})

const recordText = (record: StoredRecord): string => {
  const { id, vector, payload, source } = record
  return fields([
    ['id', id],
    ['source', source === undefined ? 'written singly, not from a file' : sourceText(source)],
    ['payload', stringifyJson(payload)],
    [
      'vector',
      vector === undefined ? null : `${plural(vector.length, 'component')}: ${vector.join(' ')}`,
    ],
  ])
}
