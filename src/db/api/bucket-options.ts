import type { KesAccess } from '../../storage/kes/kes-access.ts'
import type { S3Access } from '../../storage/s3/s3-access.ts'

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
  /** Only the keys of the state folder are to be used, changed or not. */
  readonly keysOnly?: boolean
}

/** How `status` tells what lies where. */
export interface StatusOptions {
  /** What one GiB costs in a month where the store lies; absent: no costs are told. */
  readonly pricePerGibMonth?: number
}
