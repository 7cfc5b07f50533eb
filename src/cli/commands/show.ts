import type { VectorSpec } from '../../core/schema.ts'
import type { CollectionInfo } from '../../index.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { humanBytes, humanCount, plural } from '../human.ts'
import { fields, table } from '../table.ts'

/** Sources and segments listed for people; `--json` has all. */
const SOURCES_SHOWN = 20
const SEGMENTS_SHOWN = 20

interface ShowFlags {
  readonly asOf?: string
}

/** `akidb show`: one collection. */
export const defineShow = (command: Command, app: App): void => {
  describe(command, {
    summary: 'show one collection',
    examples: [
      ['akidb show docs', 'show the newest state'],
      ['akidb show docs --as-of friday', 'show the state of a snapshot'],
    ],
    exits: [21, 24, 26],
  })
  command.argument('<collection>', 'its name')
  command.option('--as-of <state>', 'version, label, state root, or time')
  command.action((name: string, flags: ShowFlags) =>
    app.run(command, (context) =>
      context.withStore('read', async (store) => {
        const collection = await store.collection(name)
        const info = await collection.info(flags)
        return { result: info, text: infoText(info) }
      }),
    ),
  )
}

const indexText = ({ index }: CollectionInfo): string => {
  const { type, m, efConstruction, quantization = 'int8' } = index
  const graph = type === 'flat' ? type : `${type}, m ${m}, ef-construction ${efConstruction}`
  return `${graph}, ${quantization} codes`
}

/** What a search takes of the budget. */
const memoryText = ({ memory }: CollectionInfo): string | null => {
  if (memory === undefined) return null
  const { needed, budget, least } = memory
  const within = `${humanBytes(needed)} of the budget of ${humanBytes(budget)}`
  return needed > budget ? `${within}: too little, at least ${humanBytes(least)}` : within
}

/** What lies where while it is searched. */
const segmentTable = ({ segments }: CollectionInfo): string =>
  table(
    [
      { title: 'SEGMENT ROWS', align: 'right' },
      { title: 'VECTORS IN' },
      { title: 'VECTORS', align: 'right' },
      { title: 'CODES', align: 'right' },
      { title: 'LINKS', align: 'right' },
    ],
    segments
      .slice(0, SEGMENTS_SHOWN)
      .map(({ rows, memory }) => [
        humanCount(rows),
        memory?.vectors ?? '',
        humanBytes(memory?.vectorBytes ?? 0),
        humanBytes(memory?.codeBytes ?? 0),
        humanBytes(memory?.linkBytes ?? 0),
      ]),
  )

const textText = ({ schema: { text } }: CollectionInfo): string | null =>
  text.fields.length === 0
    ? null
    : `${text.fields.join(', ')}${text.positions === true ? ', with positions' : ''}`

const infoText = (info: CollectionInfo): string => {
  const deleted = info.segments.reduce((sum, segment) => sum + segment.deleted, 0)
  const head = fields([
    ['collection', info.collection],
    ['records', humanCount(info.count)],
    ['dimension', info.dimension ?? 'none (text only)'],
    ['metric', info.metric],
    ['storage', vectorSpec(info)?.storage ?? null],
    ['version', info.manifestVersion],
    ['state root', info.stateRoot],
    ['segments', `${info.segments.length}, ${plural(deleted, 'hidden row')}`],
    ['index', info.dimension === null ? null : indexText(info)],
    ['text fields', textText(info)],
    ['sparse vectors', sparseNames(info) || null],
    ['size', humanBytes(info.bytes)],
    ['memory', memoryText(info)],
    ['following', info.following],
  ])
  const schema = table(
    [{ title: 'FIELD' }, { title: 'TYPE' }],
    Object.entries(info.schema.fields).map(([name, type]) => [name, type]),
  )
  const sources = table(
    [
      { title: 'SOURCE' },
      { title: 'ROWS', align: 'right' },
      { title: 'REJECTED', align: 'right' },
      { title: 'SHA-256' },
    ],
    info.sources
      .slice(0, SOURCES_SHOWN)
      .map(({ name, rows, rejected, sha256 }) => [
        name,
        humanCount(rows),
        humanCount(rejected),
        sha256.slice(0, 12),
      ]),
  )
  const more = info.sources.length - SOURCES_SHOWN
  const parts = [head]
  if (Object.keys(info.schema.fields).length > 0) parts.push(schema)
  if (info.memory !== undefined && info.segments.length > 0) parts.push(segmentTable(info))
  if (info.sources.length > 0) parts.push(sources)
  if (more > 0) parts.push(`… and ${plural(more, 'source')} more (see --json)`)
  return parts.join('\n\n')
}

const vectorSpec = ({ schema }: CollectionInfo): VectorSpec | undefined =>
  schema.vectors['']?.kind === 'dense' ? schema.vectors[''] : undefined

const sparseNames = ({ schema }: CollectionInfo): string =>
  Object.keys(schema.vectors)
    .filter((name) => name !== '')
    .join(', ')
