/**
 * Whether `text` matches a pattern of `*` (any run of characters but "/"), `**` (any run), `?` (one character but
 * "/"), the rest literal.
 *
 * Two pointers with one point to fall back to, so no pattern makes it slow.
 */
export function matchGlob(pattern: string, text: string): boolean {
  let p = 0
  let t = 0
  let starP = -1
  let starT = 0
  let starCrosses = false
  while (t < text.length) {
    if (pattern[p] === '*') {
      starCrosses = pattern[p + 1] === '*'
      p += starCrosses ? 2 : 1
      // A "**" followed by "/" also stands for no folder at all.
      if (starCrosses && pattern[p] === '/' && (t === 0 || text[t - 1] === '/')) {
        if (matchGlob(pattern.slice(p + 1), text.slice(t))) return true
      }
      starP = p
      starT = t
    } else if (pattern[p] === text[t] || (pattern[p] === '?' && text[t] !== '/')) {
      p++
      t++
    } else if (starP >= 0 && (starCrosses || text[starT] !== '/')) {
      t = ++starT
      p = starP
    } else {
      return false
    }
  }
  while (pattern[p] === '*') p++
  return p === pattern.length
}
