import { AkidbError } from '../../errors/errors.ts'
import type { ObjectStore, SealedStore } from '../../storage/object-store.ts'
import { systemRandom } from '../../storage/system-random.ts'

/** What a working store relies on, in the words of a failure. */
interface Finding {
  readonly ok: boolean
  readonly what: string
}

/**
 * Tries in a bucket what a working store there relies on, under a random key, and removes what it
 * wrote: of two that create one object one is told so, everybody sees at once what was written,
 * listed, replaced and deleted, and nothing is locked against deletion (docs/bucket-stores.md).
 *
 * @throws USAGE where the bucket cannot keep a working store; AUTH, UNREACHABLE
 */
export async function probeWorkingBucket(target: SealedStore): Promise<void> {
  const { defaultRetention } = await target.lockState()
  if (defaultRetention !== undefined) {
    const { mode, days } = defaultRetention
    throw new AkidbError(
      'USAGE',
      `${target.url} locks every new object (${mode}, ${days} days): no place for a working store`,
      {
        hint: 'Each merge would leave years of locked rubbish. Use another bucket, and push there.',
      },
    )
  }
  const key = `probe-${Buffer.from(systemRandom(8)).toString('hex')}`
  try {
    for await (const { ok, what } of findings(target, key)) {
      if (ok) continue
      throw new AkidbError('USAGE', `${target.url} cannot keep a working store: ${what}`, {
        hint: 'Use a server with conditional writes and strong consistency (MinIO, AWS S3, Ceph).',
      })
    }
  } finally {
    await target.delete(key).catch(() => undefined)
  }
}

async function* findings(store: ObjectStore, key: string): AsyncGenerator<Finding> {
  const [one, other] = [Buffer.from('akidb one'), Buffer.from('akidb other')]
  const both = await Promise.all([store.put(key, one), store.put(key, other)])
  const created = both.filter((put) => put === 'created').length
  yield { ok: created === 1, what: 'it does not honour If-None-Match' }
  const first = both[0] === 'created' ? one : other
  yield { ok: await holds(store, key, first), what: 'what was written is not read' }
  yield { ok: await lists(store, key), what: 'what was written is not listed' }
  const again = await store.put(key, one)
  yield { ok: again === 'exists', what: 'it does not honour If-None-Match' }
  await store.put(key, other, { mode: 'replace' })
  yield { ok: await holds(store, key, other), what: 'what was replaced is read as it was' }
  await store.delete(key)
  yield { ok: !(await lists(store, key)), what: 'what was deleted is listed' }
  yield { ok: (await store.head(key)) === undefined, what: 'what was deleted is there' }
}

async function holds(store: ObjectStore, key: string, body: Uint8Array): Promise<boolean> {
  return Buffer.compare(await store.get(key), body) === 0
}

async function lists(store: ObjectStore, key: string): Promise<boolean> {
  for await (const info of store.list(key)) if (info.key === key) return true
  return false
}
