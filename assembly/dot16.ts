// Matrix products by the relaxed dot product of int8 with 7-bit integers into int16: one instruction
// on every x86 CPU since 2006, where dot8's takes three unless the CPU has AVX-VNNI. Layouts and
// arguments: matmul.ts. Only in the relaxed build.

import { BYTE_MASKS, storeScaled } from "./tile";

/** Columns between two widenings: 16 steps of 2 products, |sum| <= 16 * 2 * 8 * 127 = 32,512. */
const RUN: usize = 64;

/** Half a tile at a time. Fields 0 and 1 are masked where they lie, 2 and 3 after a shift by 4. */
export function matvecTernary(
  y: usize, w: usize, x: usize, rows: usize, columns: usize, sum: i32, scale: f32,
): void {
  const m0 = v128.load(BYTE_MASKS), m1 = v128.load(BYTE_MASKS, 16);
  const xEnd = x + columns, block = columns << 3;
  const offset = i32x4.splat(sum), s = f32x4.splat(scale);
  for (const yEnd = y + (rows << 2); y < yEnd; y += 128, w += block) {
    for (let half: usize = 0; half < 32; half += 16) {
      let A0 = i32x4.splat(0), A1 = A0, A2 = A0, A3 = A0;
      for (let p = x, q = w + half; p < xEnd; ) {
        const runEnd = min(p + RUN, xEnd);
        let a0 = i16x8.splat(0), a1 = a0, a2 = a0, a3 = a0;
        for (; p < runEnd; p += 4, q += 32) {
          const xv = v128.load32_splat(p), v = v128.load(q), h = i16x8.shr_u(v, 4);
          a0 = i16x8.add(a0, i16x8.relaxed_dot_i8x16_i7x16_s(xv, v128.and(v, m0)));
          a1 = i16x8.add(a1, i16x8.relaxed_dot_i8x16_i7x16_s(xv, v128.and(v, m1)));
          a2 = i16x8.add(a2, i16x8.relaxed_dot_i8x16_i7x16_s(xv, v128.and(h, m0)));
          a3 = i16x8.add(a3, i16x8.relaxed_dot_i8x16_i7x16_s(xv, v128.and(h, m1)));
        }
        A0 = i32x4.add(A0, i32x4.extadd_pairwise_i16x8_s(a0));
        A1 = i32x4.add(A1, i32x4.extadd_pairwise_i16x8_s(a1));
        A2 = i32x4.add(A2, i32x4.extadd_pairwise_i16x8_s(a2));
        A3 = i32x4.add(A3, i32x4.extadd_pairwise_i16x8_s(a3));
      }
      storeHalf(y + (half << 2), A0, A1, A2, A3, offset, s);
    }
  }
}

/** Two tokens; the wide sums stay in y until the end. */
export function matmulTernary2(
  y: usize, yStride: usize, w: usize, x: usize, xStride: usize, rows: usize, columns: usize,
  sum: i32, scale: f32, sum2: i32, scale2: f32,
): void {
  const m0 = v128.load(BYTE_MASKS), m1 = v128.load(BYTE_MASKS, 16);
  const xEnd = x + columns, block = columns << 3;
  const offset = i32x4.splat(sum), s = f32x4.splat(scale);
  const offset2 = i32x4.splat(sum2), s2 = f32x4.splat(scale2);
  for (const yEnd = y + (rows << 2); y < yEnd; y += 128, w += block) {
    for (let half: usize = 0; half < 32; half += 16) {
      const o = y + (half << 2), o2 = o + yStride;
      memory.fill(o, 0, 64);
      memory.fill(o2, 0, 64);
      for (let p = x, q = w + half; p < xEnd; ) {
        const runEnd = min(p + RUN, xEnd);
        let a0 = i16x8.splat(0), a1 = a0, a2 = a0, a3 = a0, b0 = a0, b1 = a0, b2 = a0, b3 = a0;
        for (; p < runEnd; p += 4, q += 32) {
          const xa = v128.load32_splat(p), xb = v128.load32_splat(p + xStride);
          const v = v128.load(q), h = i16x8.shr_u(v, 4);
          let field = v128.and(v, m0);
          a0 = i16x8.add(a0, i16x8.relaxed_dot_i8x16_i7x16_s(xa, field));
          b0 = i16x8.add(b0, i16x8.relaxed_dot_i8x16_i7x16_s(xb, field));
          field = v128.and(v, m1);
          a1 = i16x8.add(a1, i16x8.relaxed_dot_i8x16_i7x16_s(xa, field));
          b1 = i16x8.add(b1, i16x8.relaxed_dot_i8x16_i7x16_s(xb, field));
          field = v128.and(h, m0);
          a2 = i16x8.add(a2, i16x8.relaxed_dot_i8x16_i7x16_s(xa, field));
          b2 = i16x8.add(b2, i16x8.relaxed_dot_i8x16_i7x16_s(xb, field));
          field = v128.and(h, m1);
          a3 = i16x8.add(a3, i16x8.relaxed_dot_i8x16_i7x16_s(xa, field));
          b3 = i16x8.add(b3, i16x8.relaxed_dot_i8x16_i7x16_s(xb, field));
        }
        addWidened(o, a0, a1, a2, a3);
        addWidened(o2, b0, b1, b2, b3);
      }
      storeHalf(o, v128.load(o), v128.load(o, 16), v128.load(o, 32), v128.load(o, 48), offset, s);
      storeHalf(
        o2, v128.load(o2), v128.load(o2, 16), v128.load(o2, 32), v128.load(o2, 48), offset2, s2,
      );
    }
  }
}

// @ts-ignore: decorator
@inline
function addWidened(y: usize, a0: v128, a1: v128, a2: v128, a3: v128): void {
  v128.store(y, i32x4.add(v128.load(y), i32x4.extadd_pairwise_i16x8_s(a0)));
  v128.store(y, i32x4.add(v128.load(y, 16), i32x4.extadd_pairwise_i16x8_s(a1)), 16);
  v128.store(y, i32x4.add(v128.load(y, 32), i32x4.extadd_pairwise_i16x8_s(a2)), 32);
  v128.store(y, i32x4.add(v128.load(y, 48), i32x4.extadd_pairwise_i16x8_s(a3)), 48);
}

// @ts-ignore: decorator
@inline
function storeHalf(y: usize, a0: v128, a1: v128, a2: v128, a3: v128, offset: v128, s: v128): void {
  storeScaled(y, a0, offset, s);
  storeScaled(y + 16, i32x4.shr_s(a1, 2), offset, s);
  storeScaled(y + 32, a2, offset, s);
  storeScaled(y + 48, i32x4.shr_s(a3, 2), offset, s);
}
