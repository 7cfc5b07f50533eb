import type { ActEntries } from '../audit/read.ts'
import { AkidbError } from '../errors/errors.ts'
import type { Manifest } from '../format/manifest.ts'
import { actLockName } from './acts.ts'
import type { Environment } from './environment.ts'
import { collectionNames } from './lifecycle.ts'
import { ManifestStore } from './manifest-store.ts'

const ACT_LOCK = /^act-([0-9a-f]{16})$/

/**
 * Ends what killed commands left open (design §4). An act whose lock is free and that has an intent
 * but no outcome gets one: `recovered` where its manifest is there, `aborted` where it is not.
 *
 * @returns how many outcomes were written
 */
export async function recoverActs(environment: Environment): Promise<number> {
  const open: string[] = []
  for (const name of await environment.locks.list('act-')) {
    const id = ACT_LOCK.exec(name)?.[1]
    if (id !== undefined && !(await environment.locks.isHeld(name))) open.push(id)
  }
  if (open.length === 0) return 0
  const audit = await environment.audit()
  const found = await audit.findActs(open)
  let written = 0
  for (const id of open) {
    const entries = found.get(id)
    if (entries?.intent !== undefined && entries.outcome === undefined) {
      await writeOutcome(environment, id, entries)
      written++
    }
    await environment.locks.remove(actLockName(id))
  }
  return written
}

async function writeOutcome(
  environment: Environment,
  id: string,
  { intent }: ActEntries,
): Promise<void> {
  if (intent === undefined) return
  const audit = await environment.audit()
  const { collection } = intent
  const manifest =
    collection === undefined
      ? undefined
      : await manifestOfAct(environment, collection, { id, logId: audit.logId, seq: intent.seq })
  const details =
    manifest === undefined
      ? { result: 'aborted', code: 'INTERRUPTED' }
      : {
          result: 'recovered',
          version: manifest.commit.version,
          manifest: manifest.digest,
          stateRoot: manifest.commit.stateRoot,
        }
  await audit.append([
    {
      act: intent.act,
      phase: 'outcome',
      actId: id,
      actor: environment.actor,
      ...(collection === undefined ? {} : { collection }),
      details,
    },
  ])
}

/** The manifest that an act committed, if it did: its log position is beyond the act's intent. */
async function manifestOfAct(
  environment: Environment,
  collection: string,
  act: { id: string; logId: string; seq: number },
): Promise<Manifest | undefined> {
  for await (const manifest of new ManifestStore(environment.store, collection).history()) {
    const { audit, actId } = manifest.commit
    if (actId === act.id) return manifest
    if (audit.logId === act.logId && audit.size <= act.seq) return undefined
  }
  return undefined
}

/** Outcomes looked at when a store is opened for writing; `akidb audit verify` looks at all. */
const OUTCOMES_CHECKED = 64

/**
 * An outcome whose manifest is gone although nothing newer is there: the store lost a commit that
 * the log has.
 *
 * @throws AUDIT_BROKEN
 */
export async function checkOutcomes(environment: Environment): Promise<void> {
  const audit = await environment.audit()
  const newest = new Map<string, number>()
  for (const name of await collectionNames(environment)) {
    newest.set(name, await new ManifestStore(environment.store, name).newestVersion())
  }
  let checked = 0
  for await (const entry of audit.newestFirst()) {
    if (checked++ >= OUTCOMES_CHECKED) return
    const version = entry.details?.version
    if (entry.phase !== 'outcome' || typeof version !== 'number') continue
    if (entry.collection === undefined || version <= (newest.get(entry.collection) ?? 0)) continue
    throw new AkidbError(
      'AUDIT_BROKEN',
      `version ${version} of "${entry.collection}" is gone: audit entry ${entry.seq} committed it`,
      { hint: 'Manifests were removed or an older copy put back. Run akidb audit verify.' },
    )
  }
}
