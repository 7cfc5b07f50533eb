import { sha256Hex } from '../../core/digest.ts'
import { limits } from '../../core/limits.ts'
import { AkidbError, hasCode } from '../../errors/errors.ts'
import type { FreeSpace } from '../object-store.ts'
import { encryptForAdmin } from './admin-cipher.ts'
import { readText } from './s3-answers.ts'
import type { Bucket } from './s3-bucket.ts'

/** Who signs in. */
export interface Credentials {
  readonly accessKey: string
  readonly secretKey: string
}

/** A bucket at another MinIO, which versions are copied to. */
export interface ReplicaTarget {
  /** `host:port`, or the host alone where the port is the scheme's own. */
  readonly endpoint: string
  readonly tls: boolean
  readonly bucket: string
}

/** How often a MinIO looks whether another one is there. Source: mc's default. */
const HEALTH_CHECK_NANOSECONDS = 60_000_000_000

/**
 * What MinIO says of its drives, all together; undefined where nobody says anything. S3 has no
 * question for it.
 *
 * @param admin the bucket "minio" of the server: its admin API lies there (StorageInfo, v3)
 */
export async function readFreeSpace(admin: Bucket): Promise<FreeSpace | undefined> {
  try {
    const { Disks } = Object(
      await ask(admin, 'storageinfo', {}, 'cannot ask for free space'),
    ) as Record<string, unknown>
    return freeSpaceOf(Disks)
  } catch (error) {
    // Refused, or no MinIO: it is not known, which is no fault.
    if (hasCode(error, 'AUTH', 'NOT_FOUND', 'BAD_INPUT', 'UNREACHABLE', 'TIMEOUT')) return undefined
    throw error
  }
}

function freeSpaceOf(drives: unknown): FreeSpace | undefined {
  if (!Array.isArray(drives)) return undefined
  let [freeBytes, bytes] = [0, 0]
  for (const drive of drives as readonly unknown[]) {
    const { availspace, totalspace } = Object(drive) as Record<string, unknown>
    if (!isBytes(availspace) || !isBytes(totalspace)) continue
    freeBytes += availspace
    bytes += totalspace
  }
  return bytes === 0 || freeBytes > bytes ? undefined : { freeBytes, bytes }
}

const isBytes = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0

/** The name (ARN) under which a MinIO knows a target of a bucket; undefined where it does not. */
export async function replicaArn(
  admin: Bucket,
  bucket: string,
  target: ReplicaTarget,
): Promise<string | undefined> {
  const what = `cannot look where bucket ${bucket} may be copied to`
  const answer = await ask(admin, 'list-remote-targets', { bucket, type: 'replication' }, what)
  for (const known of Array.isArray(answer) ? answer : []) {
    const { endpoint, secure, targetbucket, arn } = Object(known) as Record<string, unknown>
    const isIt =
      hostOf(endpoint, target) === target.endpoint &&
      secure === target.tls &&
      targetbucket === target.bucket
    if (isIt && typeof arn === 'string' && arn.startsWith('arn:')) return arn
  }
  return undefined
}

/** Others keep the port, where it is the scheme's own. */
const hostOf = (endpoint: unknown, { tls }: ReplicaTarget): string =>
  String(endpoint).replace(tls ? /:443$/ : /:80$/, '')

export interface ReplicaAccess {
  /** Of who asks. */
  readonly own: Credentials
  /** Of the user at the other server, in whose name copies come. */
  readonly there: Credentials
  /** Under which the target is known: it gets these credentials from now on. */
  readonly arn?: string | undefined
}

/**
 * Makes a target known, or gives a known one other credentials. The server tries them.
 *
 * @returns its name (ARN)
 * @throws AUTH, NOT_FOUND, BAD_INPUT, UNREACHABLE as the server says
 */
export async function setReplicaTarget(
  admin: Bucket,
  bucket: string,
  target: ReplicaTarget,
  { own, there, arn }: ReplicaAccess,
): Promise<string> {
  const asked = {
    sourcebucket: bucket,
    endpoint: target.endpoint,
    secure: target.tls,
    targetbucket: target.bucket,
    credentials: there,
    type: 'replication',
    api: 's3v4',
    path: 'auto',
    healthCheckDuration: HEALTH_CHECK_NANOSECONDS,
    ...(arn === undefined ? {} : { arn }),
  }
  const content = await encryptForAdmin(own.secretKey, Buffer.from(JSON.stringify(asked)))
  const query = { bucket, ...(arn === undefined ? {} : { update: 'true', creds: 'true' }) }
  const what = `cannot have bucket ${bucket} copied to ${target.endpoint}/${target.bucket}`
  const answer = await ask(admin, 'set-remote-target', query, what, content)
  if (typeof answer === 'string' && answer.startsWith('arn:')) return answer
  throw notMinio(what)
}

/** One request to the admin API (v3); a PUT where there is something to send. */
async function ask(
  admin: Bucket,
  name: string,
  query: Readonly<Record<string, string>>,
  what: string,
  content?: Uint8Array,
): Promise<unknown> {
  const text = await admin.call({
    method: content === undefined ? 'GET' : 'PUT',
    key: `admin/v3/${name}`,
    query,
    ...(content === undefined ? {} : { body: { content, sha256: sha256Hex(content) } }),
    what,
    read: (response) => readText(response, limits.s3RulesBytesMax),
  })
  try {
    return JSON.parse(text)
  } catch {
    throw notMinio(what)
  }
}

const notMinio = (what: string): AkidbError =>
  new AkidbError('BAD_INPUT', `${what}: the server does not answer as a MinIO does`, {
    hint: 'Name the bucket of the copies by its ARN, as the server wants it.',
  })
