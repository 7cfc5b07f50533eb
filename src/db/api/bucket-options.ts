import type { KesAccess } from '../../storage/kes/kes-access.ts'
import type { S3Access } from '../../storage/s3/s3-access.ts'

/**
 * Where a single write must be before it is acknowledged. 'local': in the state folder, fsynced; it
 * goes to the bucket in the background, and is lost where another owner takes the log over before.
 */
export type Durability = 'bucket' | 'local'

/** What a store in a bucket needs beyond its address; a folder needs none of it. */
export interface BucketOptions {
  /** How the server is reached. */
  readonly s3?: S3Access
  /** Folder that holds state folders (`<it>/akidb/<store id>`); default ~/.local/state. */
  readonly stateHome?: string
  /** Of the disk cache; default limits.cacheBytesMax. */
  readonly cacheBytes?: number
  /** The key server of blobs that were sealed in envelopes. */
  readonly kes?: KesAccess
  /** Of single writes; default 'bucket'. 'local' is for stores in a bucket alone (USAGE). */
  readonly durability?: Durability
  /** Only the keys of the state folder are to be used, changed or not. */
  readonly keysOnly?: boolean
}

/** How `status` tells what lies where. */
export interface StatusOptions {
  /** What one GiB costs in a month where the store lies; absent: no costs are told. */
  readonly pricePerGibMonth?: number
}
