import { sha256Hex } from '../core/digest.ts'
import { targetFile } from '../db/sealed/target.ts'
import { AkidbError } from '../errors/errors.ts'
import type { RuleChange } from '../storage/s3/bucket-rules.ts'
import type { NewRules } from '../storage/s3/new-rules.ts'
import { parseS3Url } from '../storage/s3/s3-access.ts'
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
  const { parseRules } = await import('../storage/s3/new-rules.ts')
  const sets = request.rules.map(({ text, name }) => parseRules(text, name))
  for (const rules of sets) checkKeys(rules, target)
  // Rules that take what is old would take what a working store lives on.
  await withTarget(request, targetFile)
  const { openBucketRules } = await import('../storage/s3/bucket-rules.ts')
  const bucket = await openBucketRules(target, signal === undefined ? s3 : { ...s3, signal })
  const setAll = async (): Promise<RuleChange[]> => {
    const changes: RuleChange[] = []
    for (const rules of sets) changes.push(...(await bucket.set(rules, { replica, dryRun })))
    return changes
  }
  try {
    if (dryRun === true) return await setAll()
    return await auditedAct(request, { act: 'bucket.set-rules', details: toldOf(request) }, setAll)
  } finally {
    bucket.close()
  }
}

/** For the audit log: where, and by which texts. */
const toldOf = ({ target, rules }: SetUpRequest) => ({
  target,
  rules: rules.map(({ text }) => sha256Hex(Buffer.from(text))),
})

/** Who sets up one prefix of a bucket does nothing to the others in it. */
function checkKeys({ rules }: NewRules, target: string): void {
  const { bucket, prefix } = parseS3Url(target)
  const outside = rules.find((rule) => !rule.prefix.startsWith(prefix))
  if (outside === undefined) return
  const keys = outside.prefix === '' ? 'all of the bucket' : `keys below "${outside.prefix}"`
  throw new AkidbError('BAD_INPUT', `the rule "${outside.id}" is for ${keys}`, {
    hint: `Give it the prefix "${prefix}", or name the bucket alone: --target s3://${bucket}`,
  })
}
