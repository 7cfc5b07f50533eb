import type { CollectionCore } from '../../src/db/collection/collection-core.ts'
import { manifestKey } from '../../src/db/states/manifest-store.ts'
import { blobKey } from '../../src/format/blob.ts'
import { closureOf } from '../../src/format/closure.ts'
import type { Manifest } from '../../src/format/manifest.ts'
import type { StepHook } from '../support/fault-store.ts'
import type { TestMachine } from '../support/memory-environment.ts'
import { recordsOf } from '../support/records.ts'
import { type Content, type History, type Op, Violation } from './history.ts'
import { COLLECTION, startObserver } from './sim-process.ts'

const MANIFESTS = `collections/${COLLECTION}/manifests/`

export interface SeenCommit {
  readonly version: number
  readonly digest: string
  readonly act: string
  readonly content: Content
}

/**
 * Sees every manifest at the moment when it appears, and checks it: the next number, nothing
 * missing, and exactly the rows that its act makes of its parent's.
 */
export class Observer {
  readonly commits = new Map<number, SeenCommit>()
  /** By the act that made them. */
  readonly byAct = new Map<string, SeenCommit>()
  /** What each process is doing. */
  readonly current = new Map<string, Op>()
  /** Version that a process reverts to. */
  readonly target = new Map<string, number>()
  readonly #machine: TestMachine
  readonly #core: CollectionCore
  readonly #history: History
  readonly #onViolation: (error: unknown) => void
  readonly #absent = new Set<string>()

  constructor(machine: TestMachine, history: History, onViolation: (error: unknown) => void) {
    this.#machine = machine
    this.#core = startObserver(machine, 'observer').core
    this.#history = history
    this.#onViolation = onViolation
  }

  get newest(): number {
    return Math.max(...this.commits.keys())
  }

  /** Takes in the head that the schedule starts from. */
  async start(): Promise<void> {
    await this.#see(await this.#core.head())
  }

  hookOf(process: string): StepHook {
    const watch: StepHook = async ({ phase, operation, key }) => {
      if (operation !== 'put' || !key.startsWith(MANIFESTS)) return
      if (phase === 'before') {
        if ((await this.#machine.store.head(key)) === undefined) this.#absent.add(key)
        else this.#absent.delete(key)
        return
      }
      if (!this.#absent.delete(key)) return
      const manifest = await this.#core.head()
      const expected = manifestKey(COLLECTION, manifest.commit.version)
      if (key !== expected) throw new Violation(`${process} wrote ${key} beside head ${expected}`)
      await this.#check(process, manifest)
    }
    return async (step) => {
      try {
        await watch(step)
      } catch (error) {
        // The engine must not get to handle it.
        this.#onViolation(error)
        throw error
      }
    }
  }

  async #check(process: string, manifest: Manifest): Promise<void> {
    const { version, parent, act } = manifest.commit
    const before = this.commits.get(version - 1)
    if (before === undefined || before.digest !== parent) {
      throw new Violation(`version ${version} does not follow the one before`)
    }
    const { content } = await this.#see(manifest)
    const op = this.current.get(process)
    if (act === 'ingest' || act === 'delete' || act === 'revert') {
      if (op?.kind !== act) throw new Violation(`${process} committed ${act} while it did not`)
      this.#history.committed(op)
    }
    if (act === 'upsert') this.#checkFold(version, before.content, content)
    else expectContent(`version ${version} (${act})`, content, this.#expected(act, before, op))
  }

  #expected(act: string, before: SeenCommit, op: Op | undefined): Content {
    const content = new Map(before.content)
    if (act === 'merge' || act === 'owner' || act === 'index') return content
    if (act === 'revert') {
      const target = this.commits.get(this.target.get(op?.process ?? '') ?? 0)
      if (target === undefined) throw new Violation('a revert to a version that never was')
      return target.content
    }
    for (const [id, value] of op?.writes ?? []) {
      if (value !== undefined) content.set(id, value)
      else if ((content.get(id) ?? 0) < (op?.below ?? Infinity)) content.delete(id)
    }
    return content
  }

  /** A fold changes only what somebody wrote to the log. */
  #checkFold(version: number, before: Content, content: Content): void {
    for (const id of new Set([...before.keys(), ...content.keys()])) {
      const value = content.get(id)
      if (value === before.get(id)) continue
      const known = this.#history.ops.some(
        ({ kind, writes }) => kind === 'log' && writes.has(id) && writes.get(id) === value,
      )
      if (!known) throw new Violation(`version ${version} folds "${id}" = ${value}: not in the log`)
    }
  }

  async #see(manifest: Manifest): Promise<SeenCommit> {
    const { version, act, actId } = manifest.commit
    await expectClosure(this.#machine, manifest)
    const content = await contentOf(this.#core, String(version))
    const seen = { version, digest: manifest.digest, act, content }
    this.commits.set(version, seen)
    this.byAct.set(actId, seen)
    return seen
  }
}

/** Rows of a state by id. @throws Violation where an id is there twice */
export async function contentOf(core: CollectionCore, asOf?: string): Promise<Content> {
  const content = new Map<string, number>()
  for (const [id, payload] of await recordsOf(core, asOf)) {
    if (content.has(id)) throw new Violation(`"${id}" is there twice in ${asOf ?? 'the head'}`)
    const [[, value]] = JSON.parse(payload) as [[string, number]]
    content.set(id, value)
  }
  return content
}

/** @throws Violation where a blob that a manifest names is missing */
export async function expectClosure(machine: TestMachine, manifest: Manifest): Promise<void> {
  for (const { digest, role } of closureOf(manifest).values()) {
    if ((await machine.store.head(blobKey(digest))) !== undefined) continue
    const { version, act } = manifest.commit
    throw new Violation(`version ${version} (${act}) names blob ${digest} (${role}): it is missing`)
  }
}

/** @throws Violation */
export function expectContent(what: string, found: Content, expected: Content): void {
  const show = (content: Content) => JSON.stringify([...content].sort())
  if (show(found) !== show(expected)) {
    throw new Violation(`${what} holds ${show(found)}, not ${show(expected)}`)
  }
}
