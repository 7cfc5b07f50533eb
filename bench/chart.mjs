// Line charts as plain SVG, readable in light and dark, without scripts.

const WIDTH = 760
const HEIGHT = 420
const PLOT = { left: 70, top: 44, right: 570, bottom: 366 }
/** Readable on white and on near black. Ours is the first, and thicker. */
const COLORS = ['#d9480f', '#1c7ed6', '#2f9e44', '#9c36b5', '#e0a100', '#0c8599', '#e64980']
const DASHES = ['', '6 3', '2 3']
const MARKS = ['circle', 'square', 'diamond']

/**
 * A chart of series of points; points outside of the axes are left out.
 *
 * @param series [{name, style, points: [[x, y], …]}]; the style is a number, 0 is the thick one
 * @param x, y   {title, log?, from?, to?, reverse?}
 * @returns the text of an SVG file
 */
export function lineChart({ title, series: given, x, y }) {
  const within = (axis, value) =>
    value >= (axis.from ?? -Infinity) && value <= (axis.to ?? Infinity)
  const series = given.map((each) => ({
    ...each,
    points: each.points.filter(([px, py]) => within(x, px) && within(y, py)),
  }))
  const all = series.flatMap(({ points }) => points)
  const xs = scale(
    x,
    all.map(([value]) => value),
    { from: PLOT.left, to: PLOT.right },
  )
  const ys = scale(
    y,
    all.map(([, value]) => value),
    { from: PLOT.bottom, to: PLOT.top },
  )
  const lines = series.map((each) => line(each, xs, ys))
  const names = series.map((each, n) => legend(each, n))
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">`,
    `<title>${escapeText(title)}</title>`,
    STYLE,
    `<rect class="paper" width="${WIDTH}" height="${HEIGHT}"/>`,
    `<text class="title" x="${PLOT.left}" y="24">${escapeText(title)}</text>`,
    ...grid(x, xs, y, ys),
    ...lines,
    ...names,
    '</svg>',
  ].join('\n')}\n`
}

const STYLE = `<style>
text { font: 12px system-ui, sans-serif; fill: #333 }
.title { font-size: 15px; font-weight: 600 }
.paper { fill: #fff }
.grid { stroke: #ddd; stroke-width: 1 }
.axis { stroke: #666; stroke-width: 1 }
@media (prefers-color-scheme: dark) {
text { fill: #ddd }
.paper { fill: #16181c }
.grid { stroke: #33373e }
.axis { stroke: #999 }
}
</style>`

function scale({ log = false, from, to, reverse = false }, values, span) {
  const low = from ?? Math.min(...values)
  const high = to ?? Math.max(...values)
  const [a, b] = log ? [Math.log10(low), Math.log10(high)] : [low, high]
  const place = (value) => {
    const share = ((log ? Math.log10(value) : value) - a) / (b - a || 1)
    return span.from + (reverse ? 1 - share : share) * (span.to - span.from)
  }
  return { place, ticks: log ? powers(low, high) : steps(low, high) }
}

/** 1, 2 and 5 times the powers of ten; only the powers where those would be many. */
function powers(low, high) {
  const found = []
  for (let exponent = -6; exponent <= 9; exponent++) {
    for (const digit of [1, 2, 5]) {
      const value = digit * 10 ** exponent
      if (value >= low * 0.999 && value <= high * 1.001) found.push({ value, digit })
    }
  }
  return found.filter(({ digit }) => found.length <= 10 || digit === 1).map(({ value }) => value)
}

function steps(low, high) {
  const rough = (high - low) / 6 || 1
  const unit = 10 ** Math.floor(Math.log10(rough))
  const step = unit * ([1, 2, 5, 10].find((factor) => factor * unit >= rough) ?? 10)
  const found = []
  for (let n = Math.ceil(low / step - 1e-9); n * step <= high + 1e-9; n++) found.push(n * step)
  return found
}

function grid(x, xs, y, ys) {
  const show = (value) => String(Number(value.toPrecision(3)))
  const vertical = xs.ticks.flatMap((value) => {
    const at = round(xs.place(value))
    return [
      `<line class="grid" x1="${at}" x2="${at}" y1="${PLOT.top}" y2="${PLOT.bottom}"/>`,
      `<text x="${at}" y="${PLOT.bottom + 17}" text-anchor="middle">${show(value)}</text>`,
    ]
  })
  const horizontal = ys.ticks.flatMap((value) => {
    const at = round(ys.place(value))
    return [
      `<line class="grid" x1="${PLOT.left}" x2="${PLOT.right}" y1="${at}" y2="${at}"/>`,
      `<text x="${PLOT.left - 7}" y="${at + 4}" text-anchor="end">${show(value)}</text>`,
    ]
  })
  const middle = (PLOT.left + PLOT.right) / 2
  const height = (PLOT.top + PLOT.bottom) / 2
  const { left, top, bottom, right } = PLOT
  return [
    ...vertical,
    ...horizontal,
    `<polyline class="axis" fill="none" ` +
      `points="${left},${top} ${left},${bottom} ${right},${bottom}"/>`,
    `<text x="${middle}" y="${HEIGHT - 14}" text-anchor="middle">${escapeText(x.title)}</text>`,
    `<text transform="translate(16 ${height}) rotate(-90)" text-anchor="middle">` +
      `${escapeText(y.title)}</text>`,
  ]
}

const look = (n) => ({
  color: COLORS[n % COLORS.length],
  dash: DASHES[Math.floor(n / COLORS.length) % DASHES.length],
  shape: MARKS[n % MARKS.length],
  width: n === 0 ? 3 : 1.6,
})

function line({ points, style }, xs, ys) {
  const { color, dash, shape, width } = look(style)
  const shown = points.map(([px, py]) => [round(xs.place(px)), round(ys.place(py))])
  const path = shown.map((point) => point.join(',')).join(' ')
  return [
    `<polyline fill="none" stroke="${color}" stroke-width="${width}" stroke-dasharray="${dash}" ` +
      `points="${path}"/>`,
    ...shown.map((point) => mark(shape, color, point)),
  ].join('\n')
}

function legend({ name, style }, n) {
  const { color, dash, shape, width } = look(style)
  const at = PLOT.top + 8 + n * 22
  const from = PLOT.right + 18
  return [
    `<line x1="${from}" x2="${from + 26}" y1="${at}" y2="${at}" stroke="${color}" ` +
      `stroke-width="${width}" stroke-dasharray="${dash}"/>`,
    mark(shape, color, [from + 13, at]),
    `<text x="${from + 33}" y="${at + 4}">${escapeText(name)}</text>`,
  ].join('\n')
}

function mark(shape, color, [x, y]) {
  if (shape === 'circle') return `<circle cx="${x}" cy="${y}" r="3.4" fill="${color}"/>`
  if (shape === 'square') {
    return `<rect x="${x - 3}" y="${y - 3}" width="6" height="6" fill="${color}"/>`
  }
  return `<path d="M${x} ${y - 4.4}l4.4 4.4-4.4 4.4-4.4-4.4z" fill="${color}"/>`
}

const round = (value) => Math.round(value * 10) / 10
const escapeText = (text) =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
