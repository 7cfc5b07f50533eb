import { hasCode } from '../../errors/errors.ts'
import type { StoreStatus, TiersStatus } from '../../index.ts'
import type { App, Outcome } from '../app.ts'
import type { Command } from '../commander.ts'
import type { Context } from '../context.ts'
import { describe } from '../describe.ts'
import { shortDigest } from '../human.ts'
import { jsonLine } from '../json-document.ts'
import { fields } from '../table.ts'
import { tiersText } from '../tiers-text.ts'

/** `akidb status`: what the store is at. */
export const defineStatus = (command: Command, app: App): void => {
  describe(command, {
    summary: 'show the state of the store',
    examples: [
      ['akidb status', 'collections, log owner, unfinished ingests, audit log, what lies where'],
      ['akidb status --price-per-gib-month 0.02', 'and what it costs'],
      ['akidb status --json', 'the same as one JSON document'],
    ],
    exits: [21, 24, 25],
  })
  command.option('--price-per-gib-month <number>', 'price of the storage, in your own money')
  command.action(() =>
    app.run(command, async (context) => {
      try {
        return await statusOf(context)
      } catch (error) {
        // A bucket that is away: what the state folder knows, then the error with its exit code.
        if (!hasCode(error, 'UNREACHABLE', 'TIMEOUT')) throw error
        const { statusAway } = await app.loadEngine()
        const result = await statusAway(context.storeRequest())
        if (result.states.length === 0) throw error
        const text = result.states.map((state) => fields(rows({ ...state }))).join('\n\n')
        return { result, text, failure: error }
      }
    }),
  )
}

const statusOf = (context: Context): Promise<Outcome> =>
  context.withStore('read', async (store) => {
    const pricePerGibMonth = context.settings.number('pricePerGibMonth')
    const result = await store.status({
      ...(pricePerGibMonth === undefined ? {} : { pricePerGibMonth }),
    })
    const { tiers, ...rest } = result
    const named = { ...rest, owner: ownerOf(result as StoreStatus) }
    return { result, text: `${fields(rows(named))}\n\n${tiersText(tiers as TiersStatus)}` }
  })

const rows = (named: Readonly<Record<string, unknown>>): [string, string][] =>
  Object.entries(named).flatMap(([name, value]): [string, string][] =>
    Array.isArray(value) && value.length > 0
      ? value.map((one, i) => [i === 0 ? name : '', plain(one)])
      : [[name, plain(value)]],
  )

/** Where nobody here takes single writes, who elsewhere took them last: he may have ended since. */
const ownerOf = ({ owner, collections }: StoreStatus): unknown => {
  if (owner !== null) return owner
  const elsewhere = collections.flatMap(({ name, writer }) =>
    writer === undefined || writer.here ? [] : `${name} by ${writer.host} (${writer.command})`,
  )
  if (elsewhere.length === 0) return null
  return `none on this machine; single writes were last taken elsewhere: ${elsewhere.join(', ')}`
}

/** Nested values on one line each, as short as they can be read. */
const plain = (value: unknown): string => {
  if (value === null || value === undefined) return 'none'
  if (Array.isArray(value)) return value.length === 0 ? 'none' : value.map(plain).join('; ')
  if (typeof value === 'string') return value.replace(/^[0-9a-f]{64}$/, shortDigest)
  if (typeof value !== 'object') return String(value)
  if (value instanceof Map) return jsonLine(value).trim()
  const entries = Object.entries(value).map(([name, member]) => `${name} ${plain(member)}`)
  return entries.length === 0 ? 'none' : entries.join(', ')
}
