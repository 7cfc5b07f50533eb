import { auditKeys, certificateKey } from '../../audit/layout.ts'
import { readEntries } from '../../audit/read.ts'
import { verifyAuditLog } from '../../audit/verify.ts'
import { hasCode } from '../../errors/errors.ts'
import type { KeyStore } from '../../trust/key-store.ts'
import { certifiedKey, logIds } from '../open/audit-ops.ts'
import type { Environment } from '../states/environment.ts'
import { manifestKey, manifestKeyIn, versionOfKey } from '../states/manifest-store.ts'
import { parseReplayName, replayFolder } from '../states/replays.ts'
import type { ManifestFindings } from './check-manifests.ts'
import type { CheckProblems } from './check-problems.ts'

/** An environment with the keys that its store trusts. */
export interface CheckEnvironment extends Environment {
  readonly keys: Pick<KeyStore, 'trusted'>
}

/**
 * Verifies every audit log in the store, against what all manifests say of it, and the manifests
 * against what its outcomes say of them: line 1 of a head is in no other digest.
 */
export async function checkAudit(
  environment: CheckEnvironment,
  findings: ManifestFindings,
  problems: CheckProblems,
  signal?: AbortSignal,
): Promise<void> {
  const { store } = environment
  const trusted = await environment.keys.trusted()
  const replays: NamedReplays = new Map()
  for (const logId of new Set([...(await logIds(store)), ...findings.positions.keys()])) {
    const folder = `audit/${logId}`
    const certified = await problems.look(certificateKey(logId), () =>
      certifiedKey(store, logId, trusted),
    )
    const certificate = await store.head(certificateKey(logId))
    if (certificate !== undefined && certified?.length === 0) {
      const message = 'the certificate of the log key is damaged, or of a key that is not trusted'
      problems.add('SIGNATURE', certificateKey(logId), message)
    }
    const found = await problems.look(folder, () =>
      verifyAuditLog({
        store,
        prefix: folder,
        keys: [...trusted, ...(certified ?? [])],
        namedPositions: findings.positions.get(logId) ?? [],
        ...(signal === undefined ? {} : { signal }),
      }),
    )
    for (const { code, seq, message } of found?.problems ?? []) {
      const entry = seq === null ? '' : `entry ${seq}: `
      if (code === 'TORN') environment.warn({ code, message: `${folder}: ${message}` })
      else if (code === 'UNTRUSTED') problems.add(code, folder, message)
      else problems.add('AUDIT_BROKEN', folder, `${code}: ${entry}${message}`)
    }
    await checkOutcomes(environment, { logId, findings, problems, replays })
  }
  checkReplays(replays, findings, problems)
}

/** Digests of each replay's manifest that outcomes name, and the entry that named it last. */
type NamedReplays = Map<string, { readonly digests: Set<string>; seq: number }>

interface OutcomeCheck {
  readonly logId: string
  readonly findings: ManifestFindings
  readonly problems: CheckProblems
  readonly replays: NamedReplays
}

/** An outcome names the manifest that its act committed: that one and no other must be there. */
async function checkOutcomes(environment: Environment, check: OutcomeCheck): Promise<void> {
  const { findings, problems, replays } = check
  const newest = newestVersions(findings.digests.keys())
  const entries = readEntries(environment.store, auditKeys(`audit/${check.logId}`), {})
  try {
    for await (const { phase, collection, details, seq } of entries) {
      if (phase !== 'outcome') continue
      for (const { key, manifest } of namedManifests(collection, details)) {
        if (!isCollection(key)) {
          const named = replays.get(key) ?? { digests: new Set(), seq }
          replays.set(key, named)
          named.digests.add(manifest)
          named.seq = seq
          continue
        }
        const digest = findings.digests.get(key)
        const isNewest = versionOfKey(key) > (newest.get(folderOf(key)) ?? 0)
        if (digest === undefined && isNewest) {
          const message = `audit entry ${seq} says that it was committed, but it is not there`
          problems.add('AUDIT_BROKEN', key, message)
        } else if (digest !== undefined && digest !== manifest) {
          problems.add('INTEGRITY', key, `audit entry ${seq} says that its bytes were others`)
        }
      }
    }
  } catch (error) {
    // The walk above has said what is wrong with the log.
    if (!hasCode(error, 'AUDIT_BROKEN')) throw error
  }
}

/**
 * One bundle may be replayed several times, and what was opened be dropped in between: the bytes
 * that are there are those of one of these acts.
 */
function checkReplays(
  replays: NamedReplays,
  { digests }: ManifestFindings,
  problems: CheckProblems,
): void {
  for (const [key, named] of replays) {
    const digest = digests.get(key)
    // One that is gone was dropped.
    if (digest === undefined || named.digests.has(digest)) continue
    problems.add('INTEGRITY', key, `audit entry ${named.seq} says that its bytes were others`)
  }
}

interface NamedManifest {
  readonly key: string
  readonly manifest: string
}

/**
 * One where an act commits to one collection, a list where to several; replays by their address.
 */
function namedManifests(
  collection: string | undefined,
  details: Readonly<Record<string, unknown>> | undefined,
): NamedManifest[] {
  const all: unknown[] = [{ collection, ...details }]
  const { manifests, replays } = (details ?? {}) as { manifests?: unknown; replays?: unknown }
  for (const list of [manifests, replays]) if (Array.isArray(list)) all.push(...list)
  return all.flatMap((value) => {
    const { manifest } = (value ?? {}) as { manifest?: unknown }
    const key = keyOf((value ?? {}) as OutcomeNames)
    return typeof manifest === 'string' && key !== undefined ? [{ key, manifest }] : []
  })
}

interface OutcomeNames {
  readonly collection?: unknown
  readonly version?: unknown
  readonly name?: unknown
}

function keyOf({ collection, version, name }: OutcomeNames): string | undefined {
  if (typeof collection === 'string' && Number.isSafeInteger(version)) {
    return manifestKey(collection, version as number)
  }
  const replay = typeof name === 'string' ? parseReplayName(name) : undefined
  return replay === undefined ? undefined : manifestKeyIn(replayFolder(replay), 1)
}

const isCollection = (key: string): boolean => key.startsWith('collections/')
const folderOf = (key: string): string => key.slice(0, key.lastIndexOf('/'))

/** Newest version of each collection. */
function newestVersions(keys: Iterable<string>): Map<string, number> {
  const newest = new Map<string, number>()
  for (const key of keys) {
    if (!isCollection(key)) continue
    newest.set(folderOf(key), Math.max(newest.get(folderOf(key)) ?? 0, versionOfKey(key)))
  }
  return newest
}
