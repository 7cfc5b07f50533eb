// Sums over four rows at a time. Each row is summed in the same order whatever slot it occupies, so
// results never depend on how rows are grouped. Strict SIMD only: the same bits on every machine.

function multiplyAdd(x: v128, y: v128, sum: v128): v128 {
  return f32x4.add(f32x4.mul(x, y), sum);
}

function squareAdd(x: v128, y: v128, sum: v128): v128 {
  const difference = f32x4.sub(x, y);
  return f32x4.add(f32x4.mul(difference, difference), sum);
}

/** Lane i of the result is (v_i[0] + v_i[1]) + (v_i[2] + v_i[3]). */
function sumLanesF32(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab01 = v128.shuffle<i32>(a, b, 0, 4, 1, 5), ab23 = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
  const cd01 = v128.shuffle<i32>(c, d, 0, 4, 1, 5), cd23 = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  return f32x4.add(
    f32x4.add(v128.shuffle<i64>(ab01, cd01, 0, 2), v128.shuffle<i64>(ab01, cd01, 1, 3)),
    f32x4.add(v128.shuffle<i64>(ab23, cd23, 0, 2), v128.shuffle<i64>(ab23, cd23, 1, 3)),
  );
}

function sumLanesI32(a: v128, b: v128, c: v128, d: v128): v128 {
  const ab01 = v128.shuffle<i32>(a, b, 0, 4, 1, 5), ab23 = v128.shuffle<i32>(a, b, 2, 6, 3, 7);
  const cd01 = v128.shuffle<i32>(c, d, 0, 4, 1, 5), cd23 = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  return i32x4.add(
    i32x4.add(v128.shuffle<i64>(ab01, cd01, 0, 2), v128.shuffle<i64>(ab01, cd01, 1, 3)),
    i32x4.add(v128.shuffle<i64>(ab23, cd23, 0, 2), v128.shuffle<i64>(ab23, cd23, 1, 3)),
  );
}

/** Dot products of f32 vector `q` with rows a, b, c and d. `stride` is a multiple of 16. */
export function dot4F32(q: u32, a: u32, b: u32, c: u32, d: u32, stride: u32): v128 {
  const end = q + (stride << 2);
  let a0 = f32x4.splat(0), b0 = f32x4.splat(0), c0 = f32x4.splat(0), d0 = f32x4.splat(0);
  let a1 = f32x4.splat(0), b1 = f32x4.splat(0), c1 = f32x4.splat(0), d1 = f32x4.splat(0);
  while (q < end) {
    let x = v128.load(q), y = v128.load(q, 16);
    a0 = multiplyAdd(x, v128.load(a), a0); a1 = multiplyAdd(y, v128.load(a, 16), a1);
    b0 = multiplyAdd(x, v128.load(b), b0); b1 = multiplyAdd(y, v128.load(b, 16), b1);
    c0 = multiplyAdd(x, v128.load(c), c0); c1 = multiplyAdd(y, v128.load(c, 16), c1);
    d0 = multiplyAdd(x, v128.load(d), d0); d1 = multiplyAdd(y, v128.load(d, 16), d1);
    x = v128.load(q, 32); y = v128.load(q, 48);
    a0 = multiplyAdd(x, v128.load(a, 32), a0); a1 = multiplyAdd(y, v128.load(a, 48), a1);
    b0 = multiplyAdd(x, v128.load(b, 32), b0); b1 = multiplyAdd(y, v128.load(b, 48), b1);
    c0 = multiplyAdd(x, v128.load(c, 32), c0); c1 = multiplyAdd(y, v128.load(c, 48), c1);
    d0 = multiplyAdd(x, v128.load(d, 32), d0); d1 = multiplyAdd(y, v128.load(d, 48), d1);
    q += 64; a += 64; b += 64; c += 64; d += 64;
  }
  return sumLanesF32(f32x4.add(a0, a1), f32x4.add(b0, b1), f32x4.add(c0, c1), f32x4.add(d0, d1));
}

/** Squared Euclidean distances of f32 vector `q` from rows a, b, c and d. */
export function squared4F32(q: u32, a: u32, b: u32, c: u32, d: u32, stride: u32): v128 {
  const end = q + (stride << 2);
  let a0 = f32x4.splat(0), b0 = f32x4.splat(0), c0 = f32x4.splat(0), d0 = f32x4.splat(0);
  let a1 = f32x4.splat(0), b1 = f32x4.splat(0), c1 = f32x4.splat(0), d1 = f32x4.splat(0);
  while (q < end) {
    const x = v128.load(q), y = v128.load(q, 16);
    a0 = squareAdd(x, v128.load(a), a0); a1 = squareAdd(y, v128.load(a, 16), a1);
    b0 = squareAdd(x, v128.load(b), b0); b1 = squareAdd(y, v128.load(b, 16), b1);
    c0 = squareAdd(x, v128.load(c), c0); c1 = squareAdd(y, v128.load(c, 16), c1);
    d0 = squareAdd(x, v128.load(d), d0); d1 = squareAdd(y, v128.load(d, 16), d1);
    q += 32; a += 32; b += 32; c += 32; d += 32;
  }
  return sumLanesF32(f32x4.add(a0, a1), f32x4.add(b0, b1), f32x4.add(c0, c1), f32x4.add(d0, d1));
}

/** sum + the dot product of 16 int8 values at `row` with 16 int16 values in lo and hi. */
function dotAdd(sum: v128, row: u32, lo: v128, hi: v128): v128 {
  return i32x4.add(sum, i32x4.add(
    i32x4.dot_i16x8_s(v128.load_ext<i8>(row), lo),
    i32x4.dot_i16x8_s(v128.load_ext<i8>(row, 8), hi),
  ));
}

/** Integer dot products of int16 vector `q` with int8 rows a, b, c and d. */
export function dot4Int8(q: u32, a: u32, b: u32, c: u32, d: u32, stride: u32): v128 {
  const end = q + (stride << 1);
  let sa = i32x4.splat(0), sb = i32x4.splat(0), sc = i32x4.splat(0), sd = i32x4.splat(0);
  while (q < end) {
    const lo = v128.load(q), hi = v128.load(q, 16);
    sa = dotAdd(sa, a, lo, hi);
    sb = dotAdd(sb, b, lo, hi);
    sc = dotAdd(sc, c, lo, hi);
    sd = dotAdd(sd, d, lo, hi);
    q += 32; a += 16; b += 16; c += 16; d += 16;
  }
  return sumLanesI32(sa, sb, sc, sd);
}

/**
 * The same of int8 vector `q`: to widen it again costs no more than to load it widened. One body for
 * both, put in place by the compiler, cost a build 8 %.
 */
export function dot4Int8Rows(q: u32, a: u32, b: u32, c: u32, d: u32, stride: u32): v128 {
  const end = q + stride;
  let sa = i32x4.splat(0), sb = i32x4.splat(0), sc = i32x4.splat(0), sd = i32x4.splat(0);
  while (q < end) {
    const lo = v128.load_ext<i8>(q), hi = v128.load_ext<i8>(q, 8);
    sa = dotAdd(sa, a, lo, hi);
    sb = dotAdd(sb, b, lo, hi);
    sc = dotAdd(sc, c, lo, hi);
    sd = dotAdd(sd, d, lo, hi);
    q += 16; a += 16; b += 16; c += 16; d += 16;
  }
  return sumLanesI32(sa, sb, sc, sd);
}

/** The four float32 values at base + 4·a, …, base + 4·d. */
export function gather(base: u32, a: u32, b: u32, c: u32, d: u32): v128 {
  let v = v128.load_splat<f32>(base + (a << 2));
  v = v128.load_lane<f32>(base + (b << 2), v, 1);
  v = v128.load_lane<f32>(base + (c << 2), v, 2);
  return v128.load_lane<f32>(base + (d << 2), v, 3);
}

function high(v: v128): v128 {
  return f64x2.promote_low_f32x4(v128.shuffle<i64>(v, v, 1, 1));
}

function sumLanesF64(v: v128): f64 {
  return f64x2.extract_lane(v, 0) + f64x2.extract_lane(v, 1);
}

/** Dot product of two f32 vectors in float64: no finite input overflows or underflows it. */
export function dotF64(p: u32, q: u32, stride: u32): f64 {
  const end = p + (stride << 2);
  let s0 = f64x2.splat(0), s1 = f64x2.splat(0);
  for (; p < end; p += 16, q += 16) {
    const x = v128.load(p), y = v128.load(q);
    s0 = f64x2.add(s0, f64x2.mul(f64x2.promote_low_f32x4(x), f64x2.promote_low_f32x4(y)));
    s1 = f64x2.add(s1, f64x2.mul(high(x), high(y)));
  }
  return sumLanesF64(f64x2.add(s0, s1));
}

/** Squared Euclidean distance of two f32 vectors in float64. */
export function squaredF64(p: u32, q: u32, stride: u32): f64 {
  const end = p + (stride << 2);
  let s0 = f64x2.splat(0), s1 = f64x2.splat(0);
  for (; p < end; p += 16, q += 16) {
    const x = v128.load(p), y = v128.load(q);
    const low = f64x2.sub(f64x2.promote_low_f32x4(x), f64x2.promote_low_f32x4(y));
    const rest = f64x2.sub(high(x), high(y));
    s0 = f64x2.add(s0, f64x2.mul(low, low));
    s1 = f64x2.add(s1, f64x2.mul(rest, rest));
  }
  return sumLanesF64(f64x2.add(s0, s1));
}
