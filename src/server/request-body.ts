import { type JsonValue, parseJsonBytes } from '../core/json.ts'
import { limits } from '../core/limits.ts'
import { AkidbError } from '../errors/errors.ts'
import type { BodyBudget } from './admission.ts'

/** A payload may nest as deep as it can anywhere; the request puts three levels around it. */
const BODY_DEPTH_MAX = limits.payloadDepthMax + 3

/**
 * The JSON body of a request. Any content type is read as JSON but multipart, so that `curl -d`
 * works. Bytes are counted as they come: a body over the limit is refused before it is held.
 *
 * @throws BAD_INPUT for no JSON, LIMIT
 */
export async function readJsonBody(request: Request, budget: BodyBudget): Promise<JsonValue> {
  checkHeaders(request.headers)
  const bytes = await readBody(request, budget)
  if (bytes.byteLength === 0) {
    throw new AkidbError('BAD_INPUT', 'the request has no body', { hint: 'Send a JSON object.' })
  }
  return parseJsonBytes(bytes, { depthMax: BODY_DEPTH_MAX })
}

function checkHeaders(headers: Headers): void {
  const type = headers.get('content-type') ?? ''
  if (/^\s*multipart\//i.test(type)) {
    throw new AkidbError('BAD_INPUT', `the body is ${type.trim()}, not JSON`, {
      hint: 'Send a JSON object with Content-Type: application/json.',
    })
  }
  const encoding = headers.get('content-encoding') ?? 'identity'
  if (encoding.trim().toLowerCase() !== 'identity') {
    throw new AkidbError('BAD_INPUT', `the body is encoded as ${encoding}`, {
      hint: 'Send it without Content-Encoding.',
    })
  }
}

async function readBody(request: Request, budget: BodyBudget): Promise<Uint8Array> {
  const announced = Number(request.headers.get('content-length') ?? Number.NaN)
  const isAnnounced = Number.isSafeInteger(announced) && announced >= 0
  if (isAnnounced) budget.take(announced)
  const pieces: Uint8Array[] = []
  const reader = request.body?.getReader()
  for (;;) {
    const next = await reader?.read()
    if (next === undefined || next.done) break
    if (!isAnnounced) {
      try {
        budget.take(next.value.byteLength)
      } catch (error) {
        await reader?.cancel().catch(() => undefined)
        throw error
      }
    }
    pieces.push(next.value)
  }
  return Buffer.concat(pieces)
}
