import { randomInt } from 'node:crypto'
import { writeSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { limits } from '../../src/core/limits.ts'
import type { Collection } from '../../src/db/api/api.ts'
import { initStore } from '../../src/db/open/init.ts'
import { type OpenedStore, openStore } from '../../src/db/store.ts'
import { AkidbError, hasCode } from '../../src/errors/errors.ts'
import { replayBundle, verifyBundle } from '../../src/index.ts'
import { History } from '../db/model/history.ts'
import type { PlainCollection } from '../db/model/plain-collection.ts'
import { QUESTIONS } from '../db/model/questions.ts'
import { tempFolder } from '../support/temp-store.ts'
import { type CarryOptions, pack, trusts, unpack } from './sites.ts'

/** Histories of a normal run; AKIDB_TEST_HISTORIES asks for more, AKIDB_TEST_SEED replays one. */
const HISTORIES = Number(process.env.AKIDB_TEST_HISTORIES ?? 1)
/** One of so many is a large one, of fewer steps: which one depends on the seed alone. */
const LARGE_EVERY = 3
const STEPS = 20
const LARGE_STEPS = 8
/** Blobs of a role each, as large segments have them, or packs. */
const PACK_BYTES = [1, limits.packBytesMax]
const given = process.env.AKIDB_TEST_SEED

it('the other site answers as this one did, whatever was done and carried before', async () => {
  const first = given === undefined ? randomInt(2 ** 31) : Number(given)
  writeSync(2, `carried histories: AKIDB_TEST_SEED=${first}\n`)
  const histories = given === undefined ? HISTORIES : 1
  for (let seed = first; seed < first + histories; seed++) await run(seed)
}, 1_200_000)

async function run(seed: number): Promise<void> {
  const folder = await tempFolder()
  const url = join(folder, 'store')
  await initStore({ url })
  const history = new History(seed, url)
  Object.assign(limits, { packBytesMax: history.random.pick(PACK_BYTES) })
  const isLarge = seed % LARGE_EVERY === 0
  await history.start(isLarge)
  const other = new OtherSite(history, folder)
  await other.start()
  try {
    for (let step = 0; step < (isLarge ? LARGE_STEPS : STEPS); step++) {
      await history.step()
      await other.step()
      await other.ask()
    }
    await other.checkAll()
    expect((await (await history.end()).check({ readData: true })).problems).toEqual([])
  } catch (error) {
    const reason = error instanceof Error ? (error.stack ?? error.message) : String(error)
    expect.fail(`AKIDB_TEST_SEED=${seed}: ${history.steps.join('; ')}\n${reason}`)
  } finally {
    await history.close()
    await other.close()
  }
}

interface Bundle {
  readonly path: string
  readonly root: string
  /** What it holds. */
  readonly model: PlainCollection
  /** State root that it builds on. */
  readonly base: string | undefined
}

/** The site that bundles of a history are carried to, some of which are lost on the way. */
class OtherSite {
  readonly #history: History
  readonly #folder: string
  readonly #url: string
  readonly #bundles: Bundle[] = []
  #newest: Bundle | undefined
  #store!: OpenedStore

  constructor(history: History, folder: string) {
    this.#history = history
    this.#folder = folder
    this.#url = join(folder, 'other')
  }

  async start(): Promise<void> {
    await initStore({ url: this.#url })
    await this.#open()
    await trusts(this.#store, this.#history.store, this.#folder)
  }

  async step(): Promise<void> {
    const steps = [
      () => this.#carry(),
      () => this.#carry(),
      () => this.#carry(),
      () => this.#replay(),
      () => this.#collect(),
      () => this.#reopen(),
    ]
    await this.#history.random.pick(steps)()
  }

  /** It holds what the newest bundle that came holds, and nothing else. */
  async ask(): Promise<void> {
    if (this.#newest === undefined) return
    const docs = await this.#store.collection('docs')
    expect((await docs.info()).stateRoot).toBe(this.#newest.root)
    await this.#askOf(docs, this.#newest)
  }

  async checkAll(): Promise<void> {
    expect((await this.#store.check({ readData: true })).problems).toEqual([])
  }

  async close(): Promise<void> {
    await this.#store.close()
  }

  async #open(): Promise<void> {
    this.#store = await openStore({ url: this.#url, mode: 'write', threads: 2 })
  }

  async #reopen(): Promise<void> {
    await this.close()
    await this.#open()
  }

  async #collect(): Promise<void> {
    this.#history.steps.push('gc there')
    await this.#store.gc({ keepMs: 0 })
  }

  async #carry(): Promise<void> {
    const bundle = await this.#export()
    const keys = { keyFiles: [], store: { url: this.#url } }
    const verified = await verifyBundle({ input: bundle, ...keys })
    expect(verified).toMatchObject({ ok: true, problems: [] })
    if (this.#history.random.whole(0, 3) > 0) await this.#import(bundle)
  }

  async #export(): Promise<Bundle> {
    const { random, steps, past, model, docs, store } = this.#history
    const labels = past.filter(({ isKept }) => isKept)
    const old = labels.length > 0 && random.whole(0, 4) === 0 ? random.pick(labels) : undefined
    const since = this.#since()
    const options: CarryOptions = {
      ...(old === undefined ? {} : { snapshot: old.name }),
      ...(since === undefined ? {} : { since }),
      noIndex: random.whole(0, 2) === 0,
    }
    const name = `b${this.#bundles.length}`
    steps.push(`export ${name} ${JSON.stringify({ ...options, since: since?.slice(-12) })}`)
    await docs.flush()
    const { path, result } = await pack(store, this.#folder, name, options)
    const root = result.stateRoots.docs ?? expect.fail('it holds no docs')
    const holds = (old?.model ?? model).clone()
    const bundle = { path, root, model: holds, base: result.baseStateRoots?.docs }
    this.#bundles.push(bundle)
    return bundle
  }

  /** Nothing, or what the next bundle builds on: mostly a state that the other site has. */
  #since(): string | undefined {
    const { random } = this.#history
    const kind = random.whole(0, 5)
    if (kind <= 1 || this.#bundles.length === 0) return undefined
    if (kind === 2) return 'last'
    if (kind <= 4 && this.#newest !== undefined) {
      return random.pick([this.#newest.root, this.#newest.path])
    }
    return random.pick(this.#bundles).root
  }

  async #import(bundle: Bundle): Promise<void> {
    const { steps } = this.#history
    const tried = await unpack(this.#store, bundle.path, { dryRun: true }).catch(
      (error: unknown) => {
        if (!this.#isBaseMissing(error, bundle)) throw error
      },
    )
    if (tried === undefined) {
      await expect(unpack(this.#store, bundle.path)).rejects.toMatchObject({ code: 'NOT_FOUND' })
      return
    }
    const { collections } = await unpack(this.#store, bundle.path)
    steps.push('taken')
    const [was, is] = [this.#newest?.model.records, bundle.model.records]
    const [inserted, deleted] = [missing(is, was), missing(was, is)]
    const roots = { name: 'docs', before: this.#newest?.root ?? null, after: bundle.root }
    expect(collections).toEqual([{ ...roots, inserted, deleted }])
    // Without the blobs the difference alone is known.
    const net = inserted - deleted
    const guess = { inserted: Math.max(0, net), deleted: Math.max(0, -net) }
    expect(tried.collections).toEqual([{ ...roots, ...guess }])
    this.#newest = bundle
  }

  /** A bundle of any age, beside what is there. */
  async #replay(): Promise<void> {
    const { random, steps } = this.#history
    if (this.#bundles.length === 0) return
    const bundle = random.pick(this.#bundles)
    steps.push(`replay ${bundle.path.slice(-10)}`)
    try {
      const { name, stateRoot } = await replayBundle({ url: this.#url, input: bundle })
      expect(stateRoot).toBe(bundle.root)
      await this.#askOf(await this.#store.collection(name), bundle)
      if (random.whole(0, 2) === 0) await this.#store.drop(name)
    } catch (error) {
      if (!this.#isBaseMissing(error, bundle)) throw error
    }
  }

  /** The base was lost on the way, or all that was not of the newest state was collected here. */
  #isBaseMissing(error: unknown, { base }: Bundle): boolean {
    if (error instanceof AkidbError) this.#history.steps.push(error.message)
    return hasCode(error, 'NOT_FOUND') && base !== undefined && base !== this.#newest?.root
  }

  async #askOf(docs: Collection, { model }: Bundle): Promise<void> {
    const { random, steps } = this.#history
    const names = Object.keys(QUESTIONS).filter((name) => name !== 'pages')
    for (let i = 0; i < 3; i++) {
      const name = random.pick(names)
      steps.push(`? ${name} there`)
      await QUESTIONS[name]?.(this.#history, docs, model, {})
    }
  }
}

type Ids = ReadonlyMap<string, unknown>

/** How many of `some` are not among `others`. */
const missing = (some: Ids | undefined, others: Ids | undefined): number =>
  [...(some?.keys() ?? [])].filter((id) => others?.has(id) !== true).length
