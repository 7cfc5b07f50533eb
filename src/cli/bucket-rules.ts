import { literal, object, optional, ShapeError, text } from '../core/shape.ts'
import { AkidbError } from '../errors/errors.ts'
import type { RulesText, SetUpRequest } from '../index.ts'
import { readArgumentFile } from './input.ts'
import { readSecretFile } from './secret-file.ts'

const CREDENTIALS_BYTES_MAX = 4_096
const LINE = /^[\x21-\x7e]{1,512}$/

/** As the console of MinIO gives them to be kept; what else stands there says nothing to us. */
const CREDENTIALS = object(
  { accessKey: text(LINE), secretKey: text(LINE), sessionToken: optional(literal('')) },
  true,
)

/** The files of `--set-up`. */
export async function readBucketRules(paths: readonly string[]): Promise<RulesText[]> {
  const rules: RulesText[] = []
  for (const path of paths)
    rules.push({ name: path, text: await readArgumentFile(path, '--set-up') })
  return rules
}

/** The file of `--replica-credentials`. @throws AUTH where others can read it; BAD_INPUT; LIMIT */
export async function readReplicaCredentials(path: string): Promise<Pick<SetUpRequest, 'replica'>> {
  const bytes = await readSecretFile(path, 'credentials file', CREDENTIALS_BYTES_MAX)
  if (bytes.length > CREDENTIALS_BYTES_MAX) {
    const message = `--replica-credentials: ${path} is over ${CREDENTIALS_BYTES_MAX} bytes`
    throw new AkidbError('LIMIT', message)
  }
  try {
    // Without the mark that some editors put before a text.
    const text = new TextDecoder().decode(bytes)
    const { accessKey, secretKey } = CREDENTIALS(JSON.parse(text), path)
    return { replica: { accessKey, secretKey } }
  } catch (error) {
    // What JSON.parse says may quote the secret.
    const why = error instanceof ShapeError ? error.message : `${path} is no JSON`
    throw new AkidbError('BAD_INPUT', `--replica-credentials: ${why}`, {
      hint: 'Write {"accessKey":"…","secretKey":"…"}.',
    })
  }
}
