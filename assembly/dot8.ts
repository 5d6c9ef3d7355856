// Matrix products by the relaxed dot product of int8 with 7-bit integers into int32: one instruction
// for 16 multiply-accumulates where the CPU has AVX-VNNI or Arm's sdot, three elsewhere.
// Layouts and arguments: matmul.ts. Only in the relaxed build.

import { BYTE_MASKS, storeScaled } from "./tile";

/**
 * Each field of a byte is masked where it lies, so products are 1, 4 or 16 times too large until
 * the end: |sum| <= 48 * 127 * columns < 2^31 for columns < 352,000.
 */
export function matvecTernary(
  y: usize, w: usize, x: usize, rows: usize, columns: usize, sum: i32, scale: f32,
): void {
  const m0 = v128.load(BYTE_MASKS), m1 = v128.load(BYTE_MASKS, 16), m2 = v128.load(BYTE_MASKS, 32);
  const xEnd = x + columns;
  for (const yEnd = y + (rows << 2); y < yEnd; y += 128) {
    let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
    for (let p = x; p < xEnd; p += 4, w += 32) {
      const xv = v128.load32_splat(p), lo = v128.load(w), hi = v128.load(w, 16);
      a0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.and(lo, m0), a0);
      a1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.and(lo, m1), a1);
      a2 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.and(lo, m2), a2);
      a3 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.and(i16x8.shr_u(lo, 6), m0), a3);
      a4 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.and(hi, m0), a4);
      a5 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.and(hi, m1), a5);
      a6 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.and(hi, m2), a6);
      a7 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.and(i16x8.shr_u(hi, 6), m0), a7);
    }
    const offset = i32x4.splat(sum), s = f32x4.splat(scale);
    storeScaled(y, a0, offset, s);
    storeScaled(y + 16, i32x4.shr_s(a1, 2), offset, s);
    storeScaled(y + 32, i32x4.shr_s(a2, 4), offset, s);
    storeScaled(y + 48, a3, offset, s);
    storeScaled(y + 64, a4, offset, s);
    storeScaled(y + 80, i32x4.shr_s(a5, 2), offset, s);
    storeScaled(y + 96, i32x4.shr_s(a6, 4), offset, s);
    storeScaled(y + 112, a7, offset, s);
  }
}

/** Two tokens, half a tile at a time: a field is masked once for both. */
export function matmulTernary2(
  y: usize, yStride: usize, w: usize, x: usize, xStride: usize, rows: usize, columns: usize,
  sum: i32, scale: f32, sum2: i32, scale2: f32,
): void {
  const m0 = v128.load(BYTE_MASKS), m1 = v128.load(BYTE_MASKS, 16), m2 = v128.load(BYTE_MASKS, 32);
  const xEnd = x + columns, block = columns << 3;
  for (const yEnd = y + (rows << 2); y < yEnd; y += 128, w += block) {
    for (let half: usize = 0; half < 32; half += 16) {
      let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
      for (let p = x, q = w + half; p < xEnd; p += 4, q += 32) {
        const xa = v128.load32_splat(p), xb = v128.load32_splat(p + xStride), v = v128.load(q);
        let field = v128.and(v, m0);
        a0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xa, field, a0);
        b0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xb, field, b0);
        field = v128.and(v, m1);
        a1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xa, field, a1);
        b1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xb, field, b1);
        field = v128.and(v, m2);
        a2 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xa, field, a2);
        b2 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xb, field, b2);
        field = v128.and(i16x8.shr_u(v, 6), m0);
        a3 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xa, field, a3);
        b3 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xb, field, b3);
      }
      let o = y + (half << 2), offset = i32x4.splat(sum), s = f32x4.splat(scale);
      storeScaled(o, a0, offset, s);
      storeScaled(o + 16, i32x4.shr_s(a1, 2), offset, s);
      storeScaled(o + 32, i32x4.shr_s(a2, 4), offset, s);
      storeScaled(o + 48, a3, offset, s);
      o += yStride;
      offset = i32x4.splat(sum2);
      s = f32x4.splat(scale2);
      storeScaled(o, b0, offset, s);
      storeScaled(o + 16, i32x4.shr_s(b1, 2), offset, s);
      storeScaled(o + 32, i32x4.shr_s(b2, 4), offset, s);
      storeScaled(o + 48, b3, offset, s);
    }
  }
}
