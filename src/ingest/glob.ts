/**
 * Whether `text` matches a pattern of `*` (any run of characters but "/"), `**` (any run, and
 * with the "/" behind it also nothing), `?` (one character but "/"), the rest literal.
 *
 * It falls back to the last star only, first the `*`, then the `**`: the time is at most the
 * square of the text.
 */
export function matchGlob(pattern: string, text: string): boolean {
  let at: Place = { p: 0, t: 0 }
  let star: Place | undefined
  let deep: Place | undefined
  while (at.t < text.length || at.p < pattern.length) {
    const char = pattern[at.p]
    if (char === '*' && pattern[at.p + 1] === '*') {
      const skipsSlash = pattern[at.p + 2] === '/' && (at.t === 0 || text[at.t - 1] === '/')
      deep = { p: at.p, t: at.t }
      star = undefined
      at = { p: at.p + (skipsSlash ? 3 : 2), t: at.t }
    } else if (char === '*') {
      star = { p: at.p, t: at.t }
      at = { p: at.p + 1, t: at.t }
    } else if (at.t < text.length && isOne(char, text[at.t])) {
      at = { p: at.p + 1, t: at.t + 1 }
    } else if (star !== undefined && star.t < text.length && text[star.t] !== '/') {
      star = { p: star.p, t: star.t + 1 }
      at = { p: star.p + 1, t: star.t }
    } else if (deep !== undefined && deep.t < text.length) {
      at = { p: deep.p, t: deep.t + 1 }
    } else {
      return false
    }
  }
  return true
}

interface Place {
  /** In the pattern. */
  readonly p: number
  /** In the text. */
  readonly t: number
}

const isOne = (char: string | undefined, found: string | undefined): boolean =>
  char === found || (char === '?' && found !== '/')
