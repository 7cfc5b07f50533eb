import { isUtf8 } from 'node:buffer'

/** Offset of the first byte that is no strict UTF-8 (RFC 3629); −1 where all is. */
export function badUtf8At(bytes: Uint8Array): number {
  if (isUtf8(bytes)) return -1
  // The longest good start, by halving: a start cut inside a character counts as good.
  let good = 0
  let bad = bytes.length
  while (bad - good > 1) {
    const middle = (good + bad) >>> 1
    if (isStart(bytes.subarray(0, middle))) good = middle
    else bad = middle
  }
  // The last character of the good start may be the one that goes wrong.
  let start = good
  while (start > 0 && start > good - 3 && !isUtf8(bytes.subarray(0, start))) start--
  return start
}

/** Whether some bytes are UTF-8 but for a character cut off at their end. */
function isStart(bytes: Uint8Array): boolean {
  for (let cut = 0; cut <= 3 && cut <= bytes.length; cut++) {
    const whole = bytes.subarray(0, bytes.length - cut)
    if (isUtf8(whole)) return cut === 0 || isCutCharacter(bytes.subarray(bytes.length - cut))
  }
  return false
}

function isCutCharacter(bytes: Uint8Array): boolean {
  const lead = bytes[0] ?? 0
  const length =
    lead >= 0xf0 && lead < 0xf5 ? 4 : lead >= 0xe0 && lead < 0xf0 ? 3 : lead >= 0xc2 ? 2 : 0
  return bytes.length < length && bytes.subarray(1).every((byte) => (byte & 0xc0) === 0x80)
}
