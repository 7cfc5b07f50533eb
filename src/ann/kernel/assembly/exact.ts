// Sums in float64 of float32 rows, in index order, two rows side by side: the bits of core/metric.ts.
import { Context, COSINE, Index, L2 } from "./layout";

/** Components 0 and 1 of two rows, then 2 and 3: those of one index side by side. */
function low(a: v128, b: v128): v128 { return v128.shuffle<i32>(a, b, 0, 4, 1, 5); }
function high(a: v128, b: v128): v128 { return v128.shuffle<i32>(a, b, 2, 6, 3, 7); }
/** The second two of four float32 as float64. */
function second(v: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<i64>(v, v, 1, 1));
}
/** One float32 as float64, twice. */
function both(at: u32): v128 { return f64x2.promote_low_f32x4(v128.load_splat<f32>(at)); }
function multiplyAdd(x: v128, y: v128, sum: v128): v128 {
  return f64x2.add(sum, f64x2.mul(x, y));
}
function squareAdd(x: v128, y: v128, sum: v128): v128 {
  const difference = f64x2.sub(x, y);
  return f64x2.add(sum, f64x2.mul(difference, difference));
}

/** Of rows a and b: dot products with the query at `q`; with `squares` their own squares behind. */
function dots2(q: u32, a: u32, b: u32, stride: u32, out: u32, squares: bool): void {
  const end = q + (stride << 2);
  let dot = f64x2.splat(0), square = f64x2.splat(0);
  for (; q < end; q += 16, a += 16, b += 16) {
    const va = v128.load(a), vb = v128.load(b), p = low(va, vb), r = high(va, vb);
    const v0 = f64x2.promote_low_f32x4(p), v1 = second(p);
    const v2 = f64x2.promote_low_f32x4(r), v3 = second(r);
    dot = multiplyAdd(both(q), v0, dot);
    dot = multiplyAdd(both(q + 4), v1, dot);
    dot = multiplyAdd(both(q + 8), v2, dot);
    dot = multiplyAdd(both(q + 12), v3, dot);
    if (squares) {
      square = multiplyAdd(v0, v0, square);
      square = multiplyAdd(v1, v1, square);
      square = multiplyAdd(v2, v2, square);
      square = multiplyAdd(v3, v3, square);
    }
  }
  v128.store(out, dot);
  v128.store(out, square, 16);
}

function squared2(q: u32, a: u32, b: u32, stride: u32, out: u32): void {
  const end = q + (stride << 2);
  let sum = f64x2.splat(0);
  for (; q < end; q += 16, a += 16, b += 16) {
    const va = v128.load(a), vb = v128.load(b), p = low(va, vb), r = high(va, vb);
    sum = squareAdd(both(q), f64x2.promote_low_f32x4(p), sum);
    sum = squareAdd(both(q + 4), second(p), sum);
    sum = squareAdd(both(q + 8), f64x2.promote_low_f32x4(r), sum);
    sum = squareAdd(both(q + 12), second(r), sum);
  }
  v128.store(out, sum);
}

/**
 * Of each pair of the `count` rows listed in the context's ids, 32 bytes at its scratch rows: two
 * dot products with the raw query (l2: squared distances), then for cosine the two rows' squares.
 * An odd last row is paired with itself.
 */
export function exactSums(x: Index, c: Context, count: u32): void {
  const stride = x.stride, rowBytes = stride << 2, base = x.vectors, q = c.raw;
  let out = c.scratch, ids = c.ids;
  for (let i: u32 = 0; i < count; i += 2, ids += 8, out += 32) {
    const first = load<u32>(ids), next = i + 1 < count ? load<u32>(ids, 4) : first;
    const a = base + first * rowBytes, b = base + next * rowBytes;
    if (x.metric == L2) squared2(q, a, b, stride, out);
    else if (x.metric == COSINE) dots2(q, a, b, stride, out, true);
    else dots2(q, a, b, stride, out, false);
  }
}
