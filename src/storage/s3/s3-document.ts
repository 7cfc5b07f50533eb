import type { Bucket } from './s3-bucket.ts'
import type { XmlElement } from './s3-xml.ts'

/** A document about a bucket itself. */
export interface BucketDocument {
  /** Which: the only parameter of the query. */
  readonly query: string
  /** Name of its root element. */
  readonly root: string
  /** Words of servers, and of buckets, that have no such document. */
  readonly none: readonly string[]
  /** Default: s3ErrorBytesMax. */
  readonly bytesMax?: number
  /** What it is read for, as errors say it. */
  readonly what: string
}

/** An empty element where the server, or the bucket, has none. */
export async function readDocument(
  bucket: Bucket,
  { query, root, none, bytesMax, what }: BucketDocument,
): Promise<XmlElement> {
  const expected = ({ code }: { readonly code: string }) =>
    none.includes(code) ? Promise.resolve({}) : undefined
  const call = { method: 'GET', query: { [query]: '' }, what, expected } as const
  return await bucket.xml(call, root, bytesMax)
}
