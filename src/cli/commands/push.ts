import type { PushResult } from '../../index.ts'
import type { App } from '../app.ts'
import type { Command } from '../commander.ts'
import { describe } from '../describe.ts'
import { collectSooner } from '../frugal-memory.ts'
import { humanAmount, humanBytes, humanCount, humanDuration, plural } from '../human.ts'
import { kesOptions, namedKes } from '../kes-options.ts'
import { dryRun } from '../option-kinds.ts'
import { addRetention, type RetentionFlags, retentionOf } from '../retention-flags.ts'

interface PushFlags extends RetentionFlags {
  readonly legalHold?: true
  readonly kmsKey?: string
  readonly envelopeKey?: string
  readonly dryRun?: true
}

/** `akidb push`: collections, sealed in a bucket. */
export const definePush = (command: Command, app: App): void => {
  describe(command, {
    summary: 'seal collections in a bucket',
    examples: [
      [
        'akidb push s3://evidence/site-a --retain 7y --mode COMPLIANCE --kms-key site-a',
        'all collections: locked and encrypted',
      ],
      [
        'akidb push s3://evidence/site-a docs -n --retain 7y --mode COMPLIANCE',
        'what it would cost',
      ],
      [
        'akidb push s3://evidence/site-a --retain 7y --mode COMPLIANCE --envelope-key site-a',
        'blobs encrypted before they are sent',
      ],
      ['akidb push s3://evidence/site-a', 'again: sends what is new, and locks nothing'],
    ],
    details: [
      'Each object is born with its lock, its key and its checksum, in one request. Snapshots go',
      'along. What is there is not sent again; retention is extended, never shortened. A push that',
      'was stopped goes on when it is run again. --envelope-key is for servers without a KMS. See',
      'akidb help worm.',
    ].join('\n'),
    exits: [21, 22, 23, 24, 25, 26, 27],
  })
  command.argument('<s3 url>', 's3://bucket/prefix')
  command.argument('[collections...]', 'names (default: all)')
  addRetention(command)
  command.option('--legal-hold', 'hold it until it is released, whatever its retention')
  command.option('--kms-key <id>', 'have the server encrypt it under this key of its KMS')
  command.option(
    '--envelope-key <id>',
    'encrypt blobs here, under this key of the key server (KES)',
  )
  kesOptions(command)
  command.option('--retry-for <duration>', 'how long to try again what fails (default: 2m)')
  command.addOption(dryRun('uploaded'))
  command.action((url: string, collections: string[], flags: PushFlags) =>
    app.run(command, async (context) => {
      const retain = retentionOf(flags)
      collectSooner()
      const engine = await context.engine()
      const result = await context.progress(`push ${url}`, (onProgress) =>
        engine.push({
          ...context.storeRequest(),
          target: url,
          s3: context.s3Access(),
          legalHold: flags.legalHold === true,
          dryRun: flags.dryRun === true,
          onProgress,
          ...(collections.length === 0 ? {} : { collections }),
          ...(retain === undefined ? {} : { retain }),
          ...(flags.kmsKey === undefined ? {} : { kmsKey: flags.kmsKey }),
          ...(flags.envelopeKey === undefined ? {} : { envelopeKey: flags.envelopeKey }),
          ...namedKes(context),
        }),
      )
      const dry = flags.dryRun === true ? { dryRun: true } : {}
      return {
        result: { ...result, ...dry },
        text: pushText(result, flags.dryRun === true),
        work: true,
      }
    }),
  )
}

const pushText = (result: PushResult, dry: boolean): string => {
  const { blobs, bytes, retention, kmsKey, envelopeKey, manifests, gibYears } = result
  const all = blobs.present + blobs.uploaded
  const lines = [
    `${dry ? 'would send' : 'sent'} ${plural(blobs.uploaded, 'blob')} of ${humanCount(all)}, ` +
      `${humanBytes(bytes)}, in ${humanDuration(result.elapsedMs)}`,
  ]
  const would = dry ? 'would be ' : ''
  if (retention.until !== null) {
    const { set, extended, kept } = retention
    lines.push(
      `${would}locked ${retention.mode} until ${retention.until.slice(0, 10)}: ` +
        `${set} new, ${extended} extended, ${kept} as they ${dry ? 'are' : 'were'}`,
    )
    if (bytes > 0 && gibYears > 0) {
      lines.push(`${dry ? 'would cost' : 'costs'} ${humanAmount(gibYears)} GiB × years`)
    }
  } else {
    lines.push(dry ? 'nothing would be locked' : 'nothing is locked')
  }
  if (result.legalHold) lines.push(`${would}under legal hold`)
  const not = dry ? 'would not be' : 'not'
  lines.push(
    kmsKey === null ? `${not} encrypted by the server` : `${would}encrypted under ${kmsKey}`,
  )
  if (envelopeKey !== null) {
    lines.push(`${would}encrypted here, but for manifests, under ${envelopeKey}`)
  }
  for (const { collection, version, versionId } of manifests) {
    const where = versionId === '' ? '' : `, object version ${versionId}`
    lines.push(`${collection}: version ${version}${where}`)
  }
  return lines.join('\n')
}
