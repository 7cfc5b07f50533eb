import { AkidbError } from '../errors/errors.ts'
import type { SearchFlags } from './search-flags.ts'

type Flag = keyof SearchFlags

/** What a search can be by. */
const WAYS: readonly Flag[] = ['vector', 'id', 'text', 'queries', 'query', 'orderBy', 'sample']

/** Options that mean something beside others only. */
const COMPANIONS: readonly (readonly [flags: readonly Flag[], beside: readonly Flag[]])[] = [
  [['use', 'idColumn', 'vectorColumn', 'vectorColumns', 'textColumn', 'withPayload'], ['queries']],
  [['textField'], ['text', 'queries']],
  [['strategy'], ['like', 'unlike']],
  [['descending', 'startFrom'], ['orderBy']],
  [['seed'], ['sample']],
  [['mmr'], ['vector', 'id']],
  [['candidates'], ['mmr']],
  [['groupSize'], ['groupBy']],
  [['vectorWeight'], ['fusion']],
  [['fusion'], ['text', 'queries']],
]

/** Options that ask for a query of queries rather than a search. */
const COMPOSED: readonly Flag[] = [
  'query',
  'like',
  'unlike',
  'orderBy',
  'sample',
  'mmr',
  'groupBy',
  'scoreThreshold',
  'offset',
]

/** Whether the options ask for more than a plain search. */
export const isComposed = (flags: SearchFlags): boolean =>
  COMPOSED.some((flag) => flags[flag] !== undefined)

/** @throws USAGE where the options do not go together */
export function checkWays(flags: SearchFlags): void {
  const has = (flag: Flag): boolean => flags[flag] !== undefined
  const isLike = has('like') || has('unlike')
  const given = [...WAYS.filter(has), ...(isLike ? ['like'] : [])]
  const isHybrid = given.length === 2 && has('vector') && has('text')
  if (given.length !== 1 && !isHybrid) {
    throw new AkidbError('USAGE', 'say what to search by, once', {
      hint: `One of --vector, --id, --text, --queries, --like, --order-by, --sample, --query, or
both --vector and --text.`.replace('\n', ' '),
    })
  }
  if (flags.text?.trim() === '') throw new AkidbError('USAGE', '--text holds no words')
  for (const [names, beside] of COMPANIONS) {
    const stray = names.find(has)
    if (stray !== undefined && !beside.some(has)) {
      const what = beside.map(optionOf).join(' or ')
      throw new AkidbError('USAGE', `${optionOf(stray)} goes with ${what} only`)
    }
  }
  if (has('fusion') && !isHybrid && !has('queries')) {
    throw new AkidbError('USAGE', '--fusion goes with both --vector and --text')
  }
  if (has('mmr') && has('text')) throw new AkidbError('USAGE', '--mmr goes with a vector alone')
  const alone = has('queries') ? 'queries' : undefined
  const composed = COMPOSED.find(has)
  if (alone !== undefined && composed !== undefined) {
    throw new AkidbError('USAGE', `${optionOf(composed)} does not go with ${optionOf(alone)}`)
  }
}

const optionOf = (flag: string): string =>
  `--${flag.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
