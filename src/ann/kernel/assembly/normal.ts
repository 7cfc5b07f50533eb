// Rows as the binary form and product quantisation code them: of norm at most about 1.
import { COSINE, Index, L2 } from "./layout";
import { dotF64 } from "./simd";

/**
 * Writes a row to `out` with its padding: over its norm for cosine, about the centre for l2, and in
 * the segment's power of two for dot and l2.
 */
export function normaliseRow(x: Index, row: u32, out: u32): void {
  const stride = x.stride, values = x.vectors + row * (stride << 2), factor = rowFactor(x, row);
  for (let i: u32 = 0; i < stride; i++) {
    store<f32>(out + (i << 2), <f32>(shifted(x, values, i) * factor));
  }
}

/** What a row is multiplied with once the centre is taken off. */
export function rowFactor(x: Index, row: u32): f64 {
  if (x.metric != COSINE) return x.unit;
  const values = x.vectors + row * (x.stride << 2), square = dotF64(values, values, x.stride);
  return square > 0 ? 1 / Math.sqrt(square) : 0;
}

/** Component i about the centre for l2, as it is for others. */
export function shifted(x: Index, values: u32, i: u32): f64 {
  const v = <f64>load<f32>(values + (i << 2));
  return x.metric == L2 ? v - <f64>load<f32>(x.centre + (i << 2)) : v;
}
