// y = W x for int7 weights with a scale for each row, written once for the three families of dot
// products (tile.ts). Layout and arguments: matmul.ts.

import { Dot16, Dot8, EVEN_MASKS, storeScaled, Strict } from "./tile";

/** |sum| <= 127 * 127 * columns < 2^31 for columns < 133,000. */
export function matvecInt7<F>(
  y: usize, w: usize, scales: usize, x: usize, rows: usize, columns: usize, sum: i32, scale: f32,
): void {
  const offset = i32x4.splat(sum << 6), s = f32x4.splat(scale);
  const low = v128.load(EVEN_MASKS, 64);
  const step: usize = sizeof<F>() == sizeof<Strict>() ? 8 : 4, xEnd = x + (columns >> 2) * step;
  for (const yEnd = y + (rows << 2); y < yEnd; y += 128, scales += 128) {
    let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
    for (let p = x; p < xEnd; p += step, w += 128) {
      const xv = v128.load32_splat(p);
      const odd = sizeof<F>() == sizeof<Strict>() ? v128.load32_splat(p, 4) : xv;
      a0 = add<F>(a0, v128.load(w), xv, odd, low);
      a1 = add<F>(a1, v128.load(w, 16), xv, odd, low);
      a2 = add<F>(a2, v128.load(w, 32), xv, odd, low);
      a3 = add<F>(a3, v128.load(w, 48), xv, odd, low);
      a4 = add<F>(a4, v128.load(w, 64), xv, odd, low);
      a5 = add<F>(a5, v128.load(w, 80), xv, odd, low);
      a6 = add<F>(a6, v128.load(w, 96), xv, odd, low);
      a7 = add<F>(a7, v128.load(w, 112), xv, odd, low);
    }
    storeScaled(y, a0, offset, f32x4.mul(s, v128.load(scales)));
    storeScaled(y + 16, a1, offset, f32x4.mul(s, v128.load(scales, 16)));
    storeScaled(y + 32, a2, offset, f32x4.mul(s, v128.load(scales, 32)));
    storeScaled(y + 48, a3, offset, f32x4.mul(s, v128.load(scales, 48)));
    storeScaled(y + 64, a4, offset, f32x4.mul(s, v128.load(scales, 64)));
    storeScaled(y + 80, a5, offset, f32x4.mul(s, v128.load(scales, 80)));
    storeScaled(y + 96, a6, offset, f32x4.mul(s, v128.load(scales, 96)));
    storeScaled(y + 112, a7, offset, f32x4.mul(s, v128.load(scales, 112)));
  }
}

/** Two tokens, half a tile at a time: a weight is loaded once for both. */
export function matmulInt7x2<F>(
  y: usize, yStride: usize, w: usize, scales: usize, x: usize, xStride: usize,
  rows: usize, columns: usize, sum: i32, scale: f32, sum2: i32, scale2: f32,
): void {
  const offset = i32x4.splat(sum << 6), s = f32x4.splat(scale);
  const offset2 = i32x4.splat(sum2 << 6), s2 = f32x4.splat(scale2);
  const low = v128.load(EVEN_MASKS, 64);
  const step: usize = sizeof<F>() == sizeof<Strict>() ? 8 : 4, xEnd = x + (columns >> 2) * step;
  const block = columns << 5;
  for (const yEnd = y + (rows << 2); y < yEnd; w += block) {
    for (let half = w; half < w + 128; half += 64, y += 64, scales += 64) {
      let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
      for (let p = x, q = half; p < xEnd; p += step, q += 128) {
        const xa = v128.load32_splat(p), xb = v128.load32_splat(p + xStride);
        const odd = sizeof<F>() == sizeof<Strict>() ? v128.load32_splat(p, 4) : xa;
        const odd2 = sizeof<F>() == sizeof<Strict>() ? v128.load32_splat(p + xStride, 4) : xb;
        let v = v128.load(q);
        a0 = add<F>(a0, v, xa, odd, low);
        b0 = add<F>(b0, v, xb, odd2, low);
        v = v128.load(q, 16);
        a1 = add<F>(a1, v, xa, odd, low);
        b1 = add<F>(b1, v, xb, odd2, low);
        v = v128.load(q, 32);
        a2 = add<F>(a2, v, xa, odd, low);
        b2 = add<F>(b2, v, xb, odd2, low);
        v = v128.load(q, 48);
        a3 = add<F>(a3, v, xa, odd, low);
        b3 = add<F>(b3, v, xb, odd2, low);
      }
      const r0 = v128.load(scales), r1 = v128.load(scales, 16);
      const r2 = v128.load(scales, 32), r3 = v128.load(scales, 48);
      storeScaled(y, a0, offset, f32x4.mul(s, r0));
      storeScaled(y + 16, a1, offset, f32x4.mul(s, r1));
      storeScaled(y + 32, a2, offset, f32x4.mul(s, r2));
      storeScaled(y + 48, a3, offset, f32x4.mul(s, r3));
      const o = y + yStride;
      storeScaled(o, b0, offset2, f32x4.mul(s2, r0));
      storeScaled(o + 16, b1, offset2, f32x4.mul(s2, r1));
      storeScaled(o + 32, b2, offset2, f32x4.mul(s2, r2));
      storeScaled(o + 48, b3, offset2, f32x4.mul(s2, r3));
    }
  }
}

/**
 * sum[4] += four rows' products of four columns. Dot16 widens at once: a pair of its products
 * reaches 2 * 127 * 127 = 32,258.
 */
// @ts-ignore: decorator
@inline
function add<F>(sum: v128, w: v128, x: v128, odd: v128, low: v128): v128 {
  if (sizeof<F>() == sizeof<Dot8>()) return i32x4.relaxed_dot_i8x16_i7x16_add_s(x, w, sum);
  if (sizeof<F>() == sizeof<Dot16>()) {
    const pairs = i16x8.relaxed_dot_i8x16_i7x16_s(x, w);
    return i32x4.add(sum, i32x4.extadd_pairwise_i16x8_s(pairs));
  }
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.and(w, low), x));
  return i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.shr_u(w, 8), odd));
}
