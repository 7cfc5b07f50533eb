import type { WormReadRequest, WormStatus, WormVerification } from '../index.ts'
import type { App } from './app.ts'
import type { Command } from './commander.ts'
import type { Context } from './context.ts'
import { describe } from './describe.ts'
import { escapeLine } from './escape.ts'
import { collectSooner } from './frugal-memory.ts'
import { humanBytes, humanCount, plural } from './human.ts'
import { repeated } from './option-kinds.ts'
import { problemFailure } from './problems.ts'
import { table } from './table.ts'

interface ReadFlags {
  readonly key?: readonly string[]
  readonly readData?: true
}

/** What a look at a bucket needs. */
export function wormRead(
  context: Context,
  target: string,
  keyFiles: readonly string[] = [],
): WormReadRequest {
  const { url, state, stateHome } = context.storeRequest()
  return {
    target,
    s3: context.s3Access(),
    store: {
      url,
      ...(state === undefined ? {} : { state }),
      ...(stateHome === undefined ? {} : { stateHome }),
    },
    keyFiles,
    signal: context.signal,
  }
}

const KEY = '--key <file>'
const KEY_HELP = 'trust the public key in this PEM file; repeats'

/** `akidb worm status`: a table by collection, snapshot and date. */
export const defineWormStatus = (command: Command, app: App): void => {
  describe(command, {
    summary: 'show what is sealed, and until when',
    examples: [['akidb worm status s3://evidence/site-a', 'by collection, snapshot and date']],
    details:
      'KEY names all keys that a state was sealed under; "none": a copy of its blobs is under\n' +
      'none.\n' +
      'Leftovers of pushes that were stopped are counted; they are no alarm.',
    exits: [21, 23, 25],
  })
  command.argument('<s3 url>', 's3://bucket/prefix')
  command.addOption(repeated(KEY, KEY_HELP))
  command.action((url: string, flags: ReadFlags) =>
    app.run(command, async (context) => {
      const engine = await context.engine()
      const result = await engine.wormStatus(wormRead(context, url, flags.key))
      return { result, text: statusText(result) }
    }),
  )
}

/** Every key that a state, or a copy of its blobs, is under; and whether one is under none. */
const keyText = ({ kmsKeys, envelopeKeys, plainBlobs }: WormStatus['states'][number]): string => {
  const keys = [...kmsKeys, ...envelopeKeys.map((key) => `${key} (envelope)`)]
  return (plainBlobs && keys.length > 0 ? [...keys, 'none'] : keys).join(', ')
}

const statusText = (result: WormStatus): string => {
  const rows = result.states.map((state) => [
    state.collection,
    String(state.version),
    state.labels.join(', '),
    state.sealedAt.slice(0, 16).replace('T', ' '),
    state.retention === null ? 'not locked' : state.retention.until.slice(0, 10),
    state.retention?.mode ?? '',
    state.legalHold ? 'hold' : '',
    keyText(state),
    humanCount(state.rows),
    humanBytes(state.bytes),
  ])
  const titles = ['COLLECTION', 'VERSION', 'SNAPSHOTS', 'SEALED (UTC)', 'UNTIL', 'MODE', 'HOLD']
  const columns = [...titles, 'KEY', 'ROWS', 'SIZE'].map((title) =>
    title === 'ROWS' || title === 'SIZE' || title === 'VERSION'
      ? { title, align: 'right' as const }
      : { title },
  )
  const lines = [rows.length === 0 ? 'no state is known to be sealed' : table(columns, rows)]
  const { orphans, unreadable } = result
  const unproven = result.unproven - unreadable
  if (orphans.objects > 0) {
    const until = orphans.lockedUntil === null ? '' : `, locked until ${orphans.lockedUntil}`
    const what = plural(orphans.objects, 'object')
    lines.push(`${what} (${humanBytes(orphans.bytes)}) that no seal speaks of${until}`)
  }
  if (unreadable > 0) {
    const what = plural(unreadable, 'seal')
    lines.push(`${what} that the server's KMS does not open: akidb worm verify names the key`)
  }
  if (unproven > 0) {
    const what = plural(unproven, 'seal')
    lines.push(`${what} that no trusted key vouches for: give --key, or akidb keys trust`)
  }
  return lines.join('\n')
}

/** `akidb worm verify`: everything is as it was sealed. */
export const defineWormVerify = (command: Command, app: App): void => {
  describe(command, {
    summary: 'check that all is as it was sealed',
    examples: [
      ['akidb worm verify s3://evidence/site-a', 'versions, locks, keys, checksums, audit log'],
      ['akidb worm verify s3://evidence/site-a --read-data', 'and every byte'],
      ['akidb worm verify s3://evidence/site-a --key site-a.pem', 'on a machine without a store'],
    ],
    details:
      'A version or delete marker above a sealed object is an alarm, though it hides nothing.',
    exits: [21, 23, 24, 25],
  })
  command.argument('<s3 url>', 's3://bucket/prefix')
  command.addOption(repeated(KEY, KEY_HELP))
  command.option('--read-data', 'read every byte, and not only what the server says of it')
  command.action((url: string, flags: ReadFlags) =>
    app.run(command, async (context) => {
      collectSooner()
      const engine = await context.engine()
      const result = await context.progress('worm verify', (onProgress) =>
        engine.wormVerify({
          ...wormRead(context, url, flags.key),
          readData: flags.readData === true,
          onProgress,
        }),
      )
      const failure = result.ok
        ? undefined
        : problemFailure(escapeLine(url), result.problems, 'INTEGRITY')
      return { result, text: verifyText(result), failure }
    }),
  )
}

const verifyText = (result: WormVerification): string => {
  const lines = result.problems.map(
    ({ code, key, message }) => `${code}  ${escapeLine(key)}: ${escapeLine(message)}`,
  )
  if (result.problemsLeft > 0) lines.push(`and ${humanCount(result.problemsLeft)} more`)
  const counts = [
    `${plural(result.objects, 'object')}, ${humanBytes(result.bytes)}`,
    `${plural(result.seals, 'seal')}`,
    `${humanCount(result.entries)} audit entries, ${plural(result.checkpoints, 'anchor')}`,
  ]
  if (result.expired > 0) counts.push(`${humanCount(result.expired)} gone after their time`)
  if (result.orphans.objects > 0) counts.push(`${plural(result.orphans.objects, 'orphan')}`)
  const verdict = result.ok ? 'ok' : plural(result.problems.length, 'problem')
  lines.push(`${verdict}: ${counts.join('; ')}`)
  return lines.join('\n')
}
