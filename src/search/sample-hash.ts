/**
 * A number of 53 bits from a seed and the UTF-8 bytes of an id: the order of a sample. The same on
 * every machine. Source: Appleby, MurmurHash3_x86_32 (public domain), twice with two seeds.
 *
 * @param seed whole number, 0…2⁵³−1
 */
export function sampleHash(seed: number, id: Uint8Array): number {
  const low = seed >>> 0
  const high = Math.floor(seed / 2 ** 32) >>> 0
  const first = murmur(id, (low ^ Math.imul(high, 0x9e3779b1)) >>> 0)
  const second = murmur(id, (high ^ Math.imul(low, 0x85ebca77) ^ 0x27d4eb2f) >>> 0)
  return first * 2 ** 21 + (second >>> 11)
}

function murmur(bytes: Uint8Array, seed: number): number {
  let hash = seed
  const whole = bytes.length & ~3
  for (let i = 0; i < whole; i += 4) {
    const word =
      (bytes[i] as number) |
      ((bytes[i + 1] as number) << 8) |
      ((bytes[i + 2] as number) << 16) |
      ((bytes[i + 3] as number) << 24)
    hash = rotated(hash ^ mixed(word), 13)
    hash = (Math.imul(hash, 5) + 0xe6546b64) | 0
  }
  let tail = 0
  for (let i = bytes.length - 1; i >= whole; i--) tail = (tail << 8) | (bytes[i] as number)
  hash ^= mixed(tail)
  return finished(hash ^ bytes.length)
}

const rotated = (word: number, by: number): number => (word << by) | (word >>> (32 - by))

const mixed = (word: number): number =>
  Math.imul(rotated(Math.imul(word, 0xcc9e2d51), 15), 0x1b873593)

function finished(word: number): number {
  let hash = Math.imul(word ^ (word >>> 16), 0x85ebca6b)
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
  return (hash ^ (hash >>> 16)) >>> 0
}
