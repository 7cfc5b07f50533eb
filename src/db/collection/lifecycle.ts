import { checkQuantization } from '../../ann/quantization.ts'
import { limits } from '../../core/limits.ts'
import { isMetric, METRICS } from '../../core/metric.ts'
import {
  DEFAULT_INDEX,
  denseSpec,
  INDEX_TYPES,
  type IndexParameters,
  QUANTIZATIONS,
  type Schema,
  type TextSchema,
  VECTOR_STORAGES,
} from '../../core/schema.ts'
import { AkidbError } from '../../errors/errors.ts'
import type { Manifest } from '../../format/manifest.ts'
import type { CreateOptions } from '../api/api.ts'
import { sparseSpecs } from '../segment/sparse-fields.ts'
import { emptyState } from '../segment/view.ts'
import { runAct } from '../states/acts.ts'
import { commitManifest } from '../states/commit.ts'
import { type Environment, randomHex } from '../states/environment.ts'
import { ManifestStore } from '../states/manifest-store.ts'
import { withNameClaim } from '../states/name-claim.ts'
import { checkSame, seenLog } from './append.ts'
import { type CollectionCore, commitLockName } from './collection-core.ts'

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/

/** @throws USAGE for a name of another form */
export function checkName(name: string): void {
  if (typeof name === 'string' && NAME.test(name)) return
  throw new AkidbError('USAGE', `"${name}" is no collection name`, {
    hint: 'A letter, digit or _, then at most 127 letters, digits, ".", "_" or "-".',
  })
}

/** Names of all collections that ever were in the store, bytewise order. */
export async function collectionNames(environment: Pick<Environment, 'store'>): Promise<string[]> {
  const names: string[] = []
  let after = 'collections/'
  for (;;) {
    let found: string | undefined
    for await (const info of environment.store.list('collections/', { after, limit: 1 })) {
      found = info.key.split('/')[1]
    }
    if (found === undefined) return names
    names.push(found)
    after = `collections/${found}0`
  }
}

/** @throws EXISTS where a collection has this name, ignoring case; USAGE, LIMIT for bad options */
export async function createCollection(
  core: CollectionCore,
  options: CreateOptions,
): Promise<Manifest> {
  checkName(core.name)
  const { environment, name } = core
  const index = indexOf(options.index)
  if (options.dimension !== undefined) {
    checkQuantization(index.quantization ?? 'int8', options.dimension)
  }
  const state = emptyState(schemaOf(options), index)
  const details = { schema: state.schema, index: state.index }
  return await runAct(environment, { act: 'create', collection: name, details }, async (act) => {
    await refuseTaken(environment, name)
    const collection = randomHex(environment, 16)
    const manifest = await withNameClaim(environment, name, (claim) =>
      commitManifest(environment, {
        manifests: core.manifests,
        name,
        lock: createLockName(name),
        kind: 'create',
        act,
        claim,
        next: async (head) => {
          if (head !== undefined && head.state.dropped !== true) throw taken(name, name)
          // Again, now that nobody else makes one of this name.
          await refuseTaken(environment, name)
          const epoch = head?.commit.epoch ?? 0
          return { state, changed: NOTHING, collection, epoch, origin: null }
        },
      }),
    )
    if (manifest === undefined) throw new Error('create always commits')
    return { result: manifest, outcome: outcomeOf(manifest) }
  })
}

/** Name of the lock that is held while a collection is made. */
export const createLockName = (name: string): string => `create-${name.toLowerCase()}`

const NOTHING = { inserted: 0, updated: 0, deleted: 0 }

const outcomeOf = (manifest: Manifest): Record<string, unknown> => ({
  version: manifest.commit.version,
  manifest: manifest.digest,
  stateRoot: manifest.commit.stateRoot,
})

/**
 * @param live only a collection that was not dropped takes its name; else each that ever was
 * @throws EXISTS where another collection has this name but for its case
 */
export async function refuseTaken(
  environment: Pick<Environment, 'store'>,
  name: string,
  { live = false }: { readonly live?: boolean } = {},
): Promise<void> {
  for (const other of await collectionNames(environment)) {
    if (other === name || other.toLowerCase() !== name.toLowerCase()) continue
    const head = live ? await new ManifestStore(environment.store, other).newest() : undefined
    const isFree = live && (head === undefined || head.state.dropped === true)
    if (!isFree) throw taken(name, other)
  }
}

const taken = (name: string, other: string): AkidbError =>
  new AkidbError('EXISTS', `there is already a collection "${other}"`, {
    hint: name === other ? 'Choose another name.' : 'Names that differ only in case are the same.',
    details: { collection: other },
  })

function schemaOf(options: CreateOptions): Schema {
  const { dimension, storage, metric } = options
  if (dimension !== undefined && (!Number.isSafeInteger(dimension) || dimension < 1)) {
    throw new AkidbError('USAGE', `a dimension of ${dimension} is no whole number above 0`)
  }
  if (dimension !== undefined && dimension > limits.dimensionMax) {
    throw new AkidbError(
      'LIMIT',
      `dimension ${dimension} is over dimensionMax ${limits.dimensionMax}`,
    )
  }
  if (storage !== undefined && (dimension === undefined || !VECTOR_STORAGES.includes(storage))) {
    throw new AkidbError('USAGE', `no vectors are stored as ${storage}`, {
      hint: `With a dimension there is ${VECTOR_STORAGES.join(', ')}; f32 where nothing is said.`,
    })
  }
  if (metric !== undefined && !isMetric(metric)) {
    throw new AkidbError('USAGE', `no metric ${metric}; there are ${METRICS.join(', ')}`)
  }
  return {
    vectors: {
      ...(dimension === undefined ? {} : { '': denseSpec(dimension, options) }),
      ...sparseSpecs(options.sparseFields),
    },
    fields: {},
    text: textSpecOf(options.textFields ?? [], options.textPositions),
  }
}

/** @throws USAGE for positions of words where there is no text */
export function textSpecOf(fields: readonly string[], positions: boolean | undefined): TextSchema {
  if (positions === true && fields.length === 0) {
    throw new AkidbError('USAGE', 'positions of words are stored of text fields, and there is none')
  }
  // Spread, a text would be a field a letter.
  if (!Array.isArray(fields)) throw new AkidbError('USAGE', 'text fields are a list of names')
  return {
    fields: [...fields],
    tokenizer: 'plain/1',
    ...(positions === true ? { positions } : {}),
  }
}

/** @throws USAGE for parameters outside their ranges */
export function indexOf(
  chosen: Partial<IndexParameters> = {},
  base: IndexParameters = DEFAULT_INDEX,
): IndexParameters {
  const index = { ...base, ...chosen }
  const { type, m, efConstruction } = index
  if (!INDEX_TYPES.includes(type)) {
    throw new AkidbError('USAGE', `no index ${type}; there are ${INDEX_TYPES.join(', ')}`)
  }
  if (!Number.isSafeInteger(m) || m < 2 || m > 64) {
    throw new AkidbError('USAGE', `m is ${m}; it goes from 2 to 64`)
  }
  if (!Number.isSafeInteger(efConstruction) || efConstruction < m || efConstruction > 2_000) {
    throw new AkidbError('USAGE', `efConstruction is ${efConstruction}; it goes from m to 2000`)
  }
  if (index.quantization !== undefined && !QUANTIZATIONS.includes(index.quantization)) {
    const forms = QUANTIZATIONS.join(', ')
    throw new AkidbError('USAGE', `no quantization ${index.quantization}; there are ${forms}`)
  }
  // One way to say it, so that equal indexes give equal states.
  const { quantization, ...rest } = index
  return quantization === undefined || quantization === 'int8' ? rest : { ...rest, quantization }
}

/**
 * Commits `dropped`: the rows go when gc removes the states that name them, and what the log holds
 * goes with the collection.
 *
 * @param collection id of the collection that is meant, where the caller knows it
 * @throws CONFLICT where that one was dropped, and another one has its name
 */
export async function dropCollection(core: CollectionCore, collection?: string): Promise<Manifest> {
  const head = await core.head()
  const id = collection ?? head.commit.collection
  checkSame(core.name, id, head)
  const act = { act: 'drop', collection: core.name, parent: head }
  return await runAct(core.environment, act, async (running) => {
    const manifest = await commitManifest(core.environment, {
      manifests: core.manifests,
      name: core.name,
      lock: commitLockName(id),
      kind: 'drop',
      act: running,
      next: async (now) => {
        const isGone = now?.state.dropped === true && now.commit.collection === id
        if (now === undefined || isGone) return undefined
        checkSame(core.name, id, now)
        const state = { ...emptyState(now.state.schema, now.state.index), dropped: true as const }
        const log = await seenLog(core, now)
        return { state, changed: NOTHING, log: { ...log, folded: log.seen } }
      },
    })
    return { result: manifest ?? head, outcome: outcomeOf(manifest ?? head) }
  })
}
