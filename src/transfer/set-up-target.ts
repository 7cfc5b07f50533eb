import { sha256Hex } from '../core/digest.ts'
import { targetFile } from '../db/sealed/target.ts'
import { isKeySegment } from '../storage/keys.ts'
import type { RuleChange } from '../storage/s3/bucket-rules.ts'
import type { NewRules } from '../storage/s3/new-rules.ts'
import { parseS3Url, s3UrlOf } from '../storage/s3/s3-url.ts'
import { type ActRequest, auditedAct } from './audited-act.ts'
import { type TargetRequest, withTarget } from './sealed/open-target.ts'

/** Rules in the JSON of `templates/s3/lifecycle.json` and `replication.json`. */
export interface RulesText {
  /** Of the file, for messages. */
  readonly name: string
  readonly text: string
}

export interface SetUpRequest extends TargetRequest, ActRequest {
  readonly rules: readonly RulesText[]
  /** Of the user at the other site, where a rule names its bucket by an address. */
  readonly replica?: { readonly accessKey: string; readonly secretKey: string }
  readonly dryRun?: boolean
}

/**
 * Gives the bucket of a target lifecycle and replication rules: in place of those of the same ids,
 * beside its others. A second run changes nothing. Where a rule names a bucket of another MinIO by
 * its address, the server is told of it first. All texts are checked before anything is sent. The
 * audit log of `store` tells of it.
 *
 * @throws BAD_INPUT for what is no rule, or concerns keys outside the target; LIMIT; CONFLICT for a
 *   working store, and where somebody else changes the rules too; USAGE for a replica without
 *   credentials; AUTH, NOT_FOUND, UNREACHABLE
 */
export async function setUpTarget(request: SetUpRequest): Promise<RuleChange[]> {
  const { target, s3, signal, dryRun, replica } = request
  const { checkKeys, parseRules } = await import('../storage/s3/new-rules.ts')
  const sets = request.rules.map(({ text, name }) => {
    const rules = parseRules(text, name)
    checkKeys(rules, target)
    return { rules, sha256: sha256Hex(Buffer.from(text)) }
  })
  // Rules that take what is old would take what a working store lives on.
  for (const place of placesOf(request, sets)) {
    await withTarget({ ...request, target: place }, targetFile)
  }
  const { openBucketRules } = await import('../storage/s3/bucket-rules.ts')
  const bucket = await openBucketRules(target, signal === undefined ? s3 : { ...s3, signal })
  const changes: RuleChange[] = []
  try {
    for (const { rules, sha256 } of sets) {
      const set = () => bucket.set(rules, { replica, dryRun })
      // An act for each: one that is refused says nothing of those before it, which are in force.
      const told = { act: 'bucket.set-rules', details: { target, rules: sha256 } }
      changes.push(...(await (dryRun === true ? set() : auditedAct(request, told, set))))
    }
  } finally {
    bucket.close()
  }
  return changes
}

/** Where a store may lie whose keys the rules are for: at their prefixes, and above those. */
function placesOf({ target }: SetUpRequest, sets: readonly { readonly rules: NewRules }[]) {
  const { bucket, prefix } = parseS3Url(target)
  const prefixes = [prefix, ...sets.flatMap(({ rules }) => rules.rules.map((rule) => rule.prefix))]
  const places = new Set<string>([s3UrlOf({ bucket, prefix: '' })])
  for (const each of prefixes) {
    let above = ''
    for (const segment of each.split('/').slice(0, -1)) {
      // No store lies below such a name.
      if (!isKeySegment(segment)) break
      above += `${segment}/`
      places.add(s3UrlOf({ bucket, prefix: above }))
    }
  }
  return places
}
