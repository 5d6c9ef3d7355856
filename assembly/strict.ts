// Matrix products in baseline SIMD, by the dot product of int16 pairs into int32: for every engine.
// A 16-bit lane holds columns 0 and 2 of a row, or 1 and 3 after a shift by a byte; activations come
// widened to int16 and in that order, 0, 2, 1, 3 (quantize.ts). Layouts and arguments: matmul.ts.
//
// Fields are masked where they lie, so ternary products are 1, 4, 16 or 64 times too large until the
// end: |sum| <= 192 * 127 * columns < 2^31 for columns < 88,000.

import { EVEN_MASKS, storeScaled } from "./tile";

/** Half a tile at a time, for 16 rows: more accumulators would not fit the registers. */
export function matvecTernary(
  y: usize, w: usize, x: usize, rows: usize, columns: usize, sum: i32, scale: f32,
): void {
  const m0 = v128.load(EVEN_MASKS), m1 = v128.load(EVEN_MASKS, 16);
  const m2 = v128.load(EVEN_MASKS, 32), m3 = v128.load(EVEN_MASKS, 48);
  const xEnd = x + (columns << 1), block = columns << 3;
  const offset = i32x4.splat(sum), s = f32x4.splat(scale);
  for (const yEnd = y + (rows << 2); y < yEnd; y += 128, w += block) {
    for (let half: usize = 0; half < 32; half += 16) {
      let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
      for (let p = x, q = w + half; p < xEnd; p += 8, q += 32) {
        const even = v128.load32_splat(p), odd = v128.load32_splat(p, 4);
        const v = v128.load(q), h = i16x8.shr_u(v, 8);
        a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v128.and(v, m0), even));
        a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v128.and(v, m1), even));
        a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v128.and(v, m2), even));
        a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v128.and(v, m3), even));
        a0 = i32x4.add(a0, i32x4.dot_i16x8_s(v128.and(h, m0), odd));
        a1 = i32x4.add(a1, i32x4.dot_i16x8_s(v128.and(h, m1), odd));
        a2 = i32x4.add(a2, i32x4.dot_i16x8_s(v128.and(h, m2), odd));
        a3 = i32x4.add(a3, i32x4.dot_i16x8_s(v128.and(h, m3), odd));
      }
      storeHalf(y + (half << 2), a0, a1, a2, a3, offset, s);
    }
  }
}

/** Two tokens: a field is masked once for both. */
export function matmulTernary2(
  y: usize, yStride: usize, w: usize, x: usize, xStride: usize, rows: usize, columns: usize,
  sum: i32, scale: f32, sum2: i32, scale2: f32,
): void {
  const m0 = v128.load(EVEN_MASKS), m1 = v128.load(EVEN_MASKS, 16);
  const m2 = v128.load(EVEN_MASKS, 32), m3 = v128.load(EVEN_MASKS, 48);
  const xEnd = x + (columns << 1), block = columns << 3;
  const offset = i32x4.splat(sum), s = f32x4.splat(scale);
  const offset2 = i32x4.splat(sum2), s2 = f32x4.splat(scale2);
  for (const yEnd = y + (rows << 2); y < yEnd; y += 128, w += block) {
    for (let half: usize = 0; half < 32; half += 16) {
      let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
      for (let p = x, q = w + half; p < xEnd; p += 8, q += 32) {
        let xa = v128.load32_splat(p), xb = v128.load32_splat(p + xStride), v = v128.load(q);
        let field = v128.and(v, m0);
        a0 = i32x4.add(a0, i32x4.dot_i16x8_s(field, xa));
        b0 = i32x4.add(b0, i32x4.dot_i16x8_s(field, xb));
        field = v128.and(v, m1);
        a1 = i32x4.add(a1, i32x4.dot_i16x8_s(field, xa));
        b1 = i32x4.add(b1, i32x4.dot_i16x8_s(field, xb));
        field = v128.and(v, m2);
        a2 = i32x4.add(a2, i32x4.dot_i16x8_s(field, xa));
        b2 = i32x4.add(b2, i32x4.dot_i16x8_s(field, xb));
        field = v128.and(v, m3);
        a3 = i32x4.add(a3, i32x4.dot_i16x8_s(field, xa));
        b3 = i32x4.add(b3, i32x4.dot_i16x8_s(field, xb));
        xa = v128.load32_splat(p, 4);
        xb = v128.load32_splat(p + xStride, 4);
        v = i16x8.shr_u(v, 8);
        field = v128.and(v, m0);
        a0 = i32x4.add(a0, i32x4.dot_i16x8_s(field, xa));
        b0 = i32x4.add(b0, i32x4.dot_i16x8_s(field, xb));
        field = v128.and(v, m1);
        a1 = i32x4.add(a1, i32x4.dot_i16x8_s(field, xa));
        b1 = i32x4.add(b1, i32x4.dot_i16x8_s(field, xb));
        field = v128.and(v, m2);
        a2 = i32x4.add(a2, i32x4.dot_i16x8_s(field, xa));
        b2 = i32x4.add(b2, i32x4.dot_i16x8_s(field, xb));
        field = v128.and(v, m3);
        a3 = i32x4.add(a3, i32x4.dot_i16x8_s(field, xa));
        b3 = i32x4.add(b3, i32x4.dot_i16x8_s(field, xb));
      }
      storeHalf(y + (half << 2), a0, a1, a2, a3, offset, s);
      storeHalf(y + yStride + (half << 2), b0, b1, b2, b3, offset2, s2);
    }
  }
}

// @ts-ignore: decorator
@inline
function storeHalf(y: usize, a0: v128, a1: v128, a2: v128, a3: v128, offset: v128, s: v128): void {
  storeScaled(y, a0, offset, s);
  storeScaled(y + 16, i32x4.shr_s(a1, 2), offset, s);
  storeScaled(y + 32, i32x4.shr_s(a2, 4), offset, s);
  storeScaled(y + 48, i32x4.shr_s(a3, 6), offset, s);
}
