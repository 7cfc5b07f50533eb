import type { ImportResult } from '../index.ts'
import { humanBytes, humanCount, humanDuration, plural, shortDigest } from './human.ts'

/** What an import or a pull took, or would take. */
export const takenText = (result: ImportResult, dry: boolean): string => {
  const lines = result.collections.map(({ name, before, after, inserted, deleted }) => {
    const from = before === null ? 'new' : shortDigest(before)
    const least = dry && before !== null ? 'at least ' : ''
    const change =
      before === after
        ? 'no change'
        : `${least}${humanCount(inserted)} inserted, ${least}${humanCount(deleted)} deleted`
    return `${name}: ${from} to ${shortDigest(after)}, ${change}`
  })
  const { present, copied } = result.blobs
  const verb = dry ? 'would copy' : 'copied'
  lines.push(
    `${verb} ${plural(copied, 'blob')} of ${humanCount(present + copied)}, ` +
      `read ${humanBytes(result.bytes)} in ${humanDuration(result.elapsedMs)}`,
  )
  return lines.join('\n')
}
