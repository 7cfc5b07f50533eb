import { AkidbError } from '../errors/errors.ts'
import type { ErrorCode } from '../errors/exit-codes.ts'

const LACKING = 'this file system lacks what a store needs'

const CODES: Readonly<Record<string, readonly [ErrorCode, string, string]>> = {
  ENOSPC: ['NO_SPACE', 'the disk is full', 'Free some space; "akidb gc" works on a full disk.'],
  EDQUOT: ['NO_SPACE', 'the disk quota is used up', 'Free some space or raise the quota.'],
  EFBIG: ['NO_SPACE', 'the file would be too large', 'Use a file system without that limit.'],
  EACCES: ['AUTH', 'permission denied', 'Check owner and mode of the folder.'],
  EPERM: ['AUTH', 'operation not permitted', 'Check owner, mode and attributes of the folder.'],
  EROFS: ['AUTH', 'the file system is read-only', 'Mount it writable, or use another --state.'],
  ENOENT: ['NOT_FOUND', 'there is no such file or folder', 'Check the path.'],
  ENOTDIR: ['NOT_FOUND', 'a part of the path is not a folder', 'Check the path.'],
  EISDIR: ['INTEGRITY', 'a folder stands where a file belongs', 'Run "akidb check".'],
  ELOOP: ['INTEGRITY', 'a symbolic link stands in the store', 'Links in a store are not followed.'],
  EIO: ['INTEGRITY', 'the disk reports an error', 'Check the disk (dmesg), then "akidb check".'],
  EUCLEAN: ['INTEGRITY', 'the file system is damaged', 'Run fsck, then "akidb check".'],
  EMFILE: ['LIMIT', 'too many open files', 'Raise the limit (ulimit -n).'],
  ENFILE: ['LIMIT', 'too many open files on this machine', 'Raise fs.file-max.'],
  ENAMETOOLONG: ['LIMIT', 'the path is too long', 'Use a shorter path for the store.'],
  EMLINK: ['LIMIT', 'the file has too many hard links', 'Run "akidb doctor".'],
  ENOTSUP: ['AUTH', LACKING, 'Keep the store on ext4, xfs, btrfs or zfs; see "akidb doctor".'],
  EOPNOTSUPP: ['AUTH', LACKING, 'Keep the store on ext4, xfs, btrfs or zfs; see "akidb doctor".'],
  ENOSYS: ['AUTH', LACKING, 'Keep the store on ext4, xfs, btrfs or zfs; see "akidb doctor".'],
  EXDEV: [
    'CONFIG_INVALID',
    'the store spans two file systems',
    'Keep the whole store folder on one file system.',
  ],
  ETIMEDOUT: ['UNREACHABLE', 'the file server does not answer', 'Check the mount, then retry.'],
  EHOSTDOWN: ['UNREACHABLE', 'the file server is down', 'Check the mount, then retry.'],
  ESTALE: ['UNREACHABLE', 'the network mount is stale', 'Mount it again, then retry.'],
  ENOTCONN: ['UNREACHABLE', 'the mount is not connected', 'Mount it again, then retry.'],
}

/**
 * An error of node:fs as an AkidbError that says what was done to which path; others come back as
 * they are.
 * @param action for the message, for example 'cannot write'
 */
export function fromFsError(error: unknown, action: string, path: string): unknown {
  const entry = CODES[fsCode(error) ?? '']
  if (error instanceof AkidbError || entry === undefined) return error
  const [code, reason, hint] = entry
  return new AkidbError(code, `${action} ${path}: ${reason}`, {
    hint,
    cause: error,
    details: { path, system: fsCode(error) },
  })
}

/** The errno name of a node:fs error ('ENOENT', …). */
export function fsCode(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** Runs one file operation and turns what it throws by `fromFsError`. */
export async function withFsErrors<T>(
  action: string,
  path: string,
  operation: () => Promise<T>,
): Promise<T> {
  try {
    return await operation()
  } catch (error) {
    throw fromFsError(error, action, path)
  }
}
