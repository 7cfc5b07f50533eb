import type { IncomingMessage } from 'node:http'

/** A body that is read anew for every try. */
export interface BodySource {
  readonly bytes: number
  /** SHA-256 of the body, hex. */
  readonly sha256: string
  /** Pieces that nobody changes any more. Its failure is that of the request. */
  open(): AsyncIterable<Uint8Array>
}

/** A body in memory. */
export interface BodyBytes {
  readonly content: Uint8Array
  /** SHA-256 of it, hex. */
  readonly sha256: string
}

/** One request to a bucket's server. */
export interface S3Request {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE'
  readonly bucket: string
  /** Whole key in the bucket; absent: the bucket itself. */
  readonly key?: string
  /** A list: the name stands once for each. */
  readonly query?: Readonly<Record<string, string | readonly string[]>>
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: BodyBytes | BodySource
  readonly signal?: AbortSignal | undefined
  /** Told where no answer has come for limits.s3RetryNoteMs, though little or nothing was sent. */
  readonly onSilence?: () => void
}

/** Makes one try of a request, and reads of a success nothing but its head. */
export interface S3Transport {
  readonly url: string
  /** @throws S3Failure for every answer but success, and for none; what a body's source throws */
  send(request: S3Request): Promise<IncomingMessage>
  close(): void
}
