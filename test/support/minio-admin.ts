import { createCipheriv, pbkdf2Sync, randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import type { Client } from 'minio'
import type { MinioServer } from './minio.ts'

/** Requests of MinIO's admin API are signed as those of a bucket named "minio". */
async function admin(
  client: Client,
  method: 'GET' | 'PUT',
  name: string,
  query: string,
  payload: Buffer = Buffer.alloc(0),
): Promise<string> {
  const options = { method, bucketName: 'minio', objectName: `admin/v3/${name}`, query }
  const statuses = [200, 204]
  const answer = await client.makeRequestAsync(options, payload, statuses, 'us-east-1')
  return await text(answer as AsyncIterable<Uint8Array> as never)
}

/**
 * What madmin-go does with secrets: salt, kind of cipher, nonce, then one sio-go fragment under
 * AES-256-GCM whose associated data is the seal of none.
 */
function encryptForAdmin(secretKey: string, content: Buffer): Buffer {
  const PBKDF2_AES_GCM = 0x02
  const [salt, nonce] = [randomBytes(32), randomBytes(8)]
  const key = pbkdf2Sync(secretKey, salt, 8192, 32, 'sha256')
  const seal = (sequence: number, data: Buffer, associated?: Buffer): Buffer => {
    const number = Buffer.alloc(4)
    number.writeUInt32LE(sequence)
    const cipher = createCipheriv('aes-256-gcm', key, Buffer.concat([nonce, number]))
    if (associated !== undefined) cipher.setAAD(associated)
    return Buffer.concat([cipher.update(data), cipher.final(), cipher.getAuthTag()])
  }
  const LAST = 0x80
  const associated = Buffer.concat([Buffer.of(LAST), seal(0, Buffer.alloc(0))])
  return Buffer.concat([salt, Buffer.of(PBKDF2_AES_GCM), nonce, seal(1, content, associated)])
}

/** Has one server copy every version of a bucket to another one, where a bucket of locks waits. */
export async function replicate(
  from: MinioServer,
  to: MinioServer,
  { bucket, target, prefix = '' }: { bucket: string; target: string; prefix?: string },
): Promise<void> {
  const remote = {
    sourcebucket: bucket,
    endpoint: `127.0.0.1:${to.port}`,
    credentials: { accessKey: to.accessKey, secretKey: to.secretKey },
    targetbucket: target,
    secure: false,
    path: 'auto',
    api: 's3v4',
    type: 'replication',
    region: '',
    healthCheckDuration: 1_000_000_000,
  }
  const body = encryptForAdmin(from.secretKey, Buffer.from(JSON.stringify(remote)))
  const query = `bucket=${bucket}`
  const arn = JSON.parse(await admin(from.client, 'PUT', 'set-remote-target', query, body))
  const [rule] = JSON.parse(template('replication.json')).Rules
  const filled = { ...rule, Filter: { Prefix: prefix }, Destination: { Bucket: arn } }
  await from.client.setBucketReplication(bucket, { role: arn, rules: [filled] as never })
}

/** A file of templates/s3. */
export const template = (name: string): string =>
  readFileSync(new URL(`../../templates/s3/${name}`, import.meta.url), 'utf8')

/** Makes a user who may what some policies of templates/s3 say. */
export async function addUser(
  server: MinioServer,
  accessKey: string,
  policies: readonly string[],
  adapted: (policy: string) => string = (policy) => policy,
): Promise<{ readonly accessKey: string; readonly secretKey: string }> {
  const secretKey = randomBytes(12).toString('hex')
  const content = Buffer.from(JSON.stringify({ secretKey, status: 'enabled' }))
  const body = encryptForAdmin(server.secretKey, content)
  await admin(server.client, 'PUT', 'add-user', `accessKey=${accessKey}`, body)
  for (const name of policies) {
    const policy = Buffer.from(adapted(template(`${name}.json`)))
    await admin(server.client, 'PUT', 'add-canned-policy', `name=${name}`, policy)
  }
  const query = `isGroup=false&policyName=${policies.join('%2C')}&userOrGroup=${accessKey}`
  await admin(server.client, 'PUT', 'set-user-or-group-policy', query)
  return { accessKey, secretKey }
}
