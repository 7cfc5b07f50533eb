import { verifyAuditLog } from '../../src/audit/verify.ts'
import { checkOutcomes, recoverActs } from '../../src/db/collection/recover.ts'
import { collectGarbage } from '../../src/db/gc/gc.ts'
import { namedPositions } from '../../src/db/open/open-environment.ts'
import { unsentFiles } from '../../src/db/wal/outbox-settle.ts'
import { type Content, Violation } from './history.ts'
import { flushOrphan } from './log-writer.ts'
import { contentOf, expectClosure, expectContent } from './observer.ts'
import { type SimProcess, startObserver } from './sim-process.ts'
import { IDS, type Site } from './site.ts'

/** Everybody is gone: opens the store anew and checks all that was promised. @throws Violation */
export async function checkEnd(site: Site): Promise<void> {
  const lasts = site.machines.map((machine, i) =>
    startObserver(machine, `last${i}`, site.mutation.state),
  )
  const [process] = lasts as [SimProcess, ...SimProcess[]]
  for (const { environment } of lasts) {
    if (site.mutation.withoutRecovery !== true) await recoverActs(environment)
    await checkOutcomes(environment)
  }
  await checkAudit(site, lasts)
  await checkManifests(site, process)
  const content = await broughtTogether(site, lasts)
  await flushOrphan(process)
  expectContent('the head, after its log was committed,', await contentOf(process.core), content)
  await collectGarbage(process.environment, { keepMs: 0 })
  expectContent('the head, after garbage was collected,', await contentOf(process.core), content)
  await expectClosure(site.machine, await process.core.head())
}

/** The last content, with what lies in state folders alone, as their next owners bring it. */
async function broughtTogether(site: Site, lasts: readonly SimProcess[]): Promise<Content> {
  const [{ core }] = lasts as [SimProcess, ...SimProcess[]]
  const before = await contentOf(core)
  site.history.checkRead('the last reader', IDS, before, site.scheduler.steps + 1)
  if (!site.isLocal) return before
  const kept: (readonly [string, number | undefined])[] = []
  for (const last of lasts) {
    await flushOrphan(last)
    const { state } = last.environment
    for (const key of await unsentFiles({ state })) {
      for (const line of Buffer.from(await state.get(key))
        .toString('utf8')
        .trim()
        .split('\n')) {
        const { id, payload } = JSON.parse(line)
        kept.push([id, payload?.v])
      }
    }
  }
  const content = await contentOf(core)
  site.history.checkRead('the last reader', IDS, content, site.scheduler.steps + 1)
  site.history.checkLocal(content, kept)
  return content
}

/** Every state that is there is whole and what it was when it was committed. */
async function checkManifests(site: Site, { core }: SimProcess): Promise<void> {
  const { commits, newest } = site.observer
  const found = new Set<number>()
  for await (const manifest of core.manifests.history()) {
    const { version } = manifest.commit
    found.add(version)
    const seen = commits.get(version)
    if (seen?.digest !== manifest.digest) throw new Violation(`version ${version} changed`)
    await expectClosure(site.machine, manifest)
    expectContent(`version ${version}`, await contentOf(core, String(version)), seen.content)
  }
  if (!found.has(newest)) throw new Violation(`the head, version ${newest}, is gone`)
  const missing = [...commits.keys()].filter((version) => !found.has(version))
  if (missing.length > 0 && site.gcRuns === 0) {
    throw new Violation(`versions ${missing} are gone without a collection of garbage`)
  }
}

/** Every intent has one outcome, which says what became of it. */
async function checkAudit(
  { observer, machines }: Site,
  lasts: readonly SimProcess[],
): Promise<void> {
  const intents = new Set<string>()
  const outcomes = new Map<string, Readonly<Record<string, unknown>>>()
  for (const [i, last] of lasts.entries()) {
    await verifyLog(last, lasts[(i + 1) % lasts.length] ?? last)
    for await (const entry of (await last.environment.audit()).read()) {
      const { phase, actId = '', act, details = {} } = entry
      if (phase === 'intent') intents.add(actId)
      if (phase !== 'outcome') continue
      if (outcomes.has(actId)) throw new Violation(`act ${actId} (${act}) has two outcomes`)
      if (!intents.has(actId)) throw new Violation(`act ${actId} (${act}) has no intent`)
      outcomes.set(actId, details)
    }
  }
  for (const id of intents) {
    const outcome = outcomes.get(id)
    if (outcome === undefined) throw new Violation(`act ${id} has no outcome`)
    const commit = observer.byAct.get(id)
    const says = outcome.version
    const done = outcome.result !== 'aborted'
    // Another machine may have collected what the act had made.
    if (outcome.result === 'unknown' && machines.length > 1) continue
    if (commit !== undefined && !(done && says === commit.version)) {
      throw new Violation(
        `act ${id} made version ${commit.version}; its outcome: ${JSON.stringify(outcome)}`,
      )
    }
  }
  for (const id of observer.byAct.keys()) {
    if (!intents.has(id)) throw new Violation(`a manifest of act ${id}, which has no intent`)
  }
}

/** The log of one machine, as another one finds it where there is one. */
async function verifyLog({ machine, environment }: SimProcess, by: SimProcess): Promise<void> {
  const audit = await environment.audit()
  await audit.checkpoint()
  const { keyId } = machine.logKey
  const verified = await verifyAuditLog({
    store: by.environment.store,
    prefix: `audit/${keyId}`,
    keys: [machine.logKey],
    namedPositions: await namedPositions(environment, keyId),
  })
  if (!verified.ok) throw new Violation(`the audit log: ${JSON.stringify(verified.problems)}`)
  if (verified.entries !== audit.size) {
    throw new Violation(`${verified.entries} entries of ${audit.size} are where others find them`)
  }
}
