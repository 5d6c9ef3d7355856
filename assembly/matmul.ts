// Matrix-vector products, y = W x. Three kinds of weights, one tile shape: 32 rows, and along the
// columns as many as fill the tile, so that a column's activations are broadcast to all lanes and
// no lane is ever summed with its neighbour.
//
//   ternary   W in {-1, 0, 1}, stored as {0, 1, 2}, 2 bits.   Tile: 32 rows x 4 columns, 32 bytes
//   int7      W in [-63, 63], stored + 64, one byte.          Tile: 32 rows x 4 columns, 128 bytes
//   f32       as it is.                                       Tile: 32 rows x 1 column, 128 bytes
//
// Where a weight is, with r = row % 32 and c = column % 4 (tiles of a row block follow each other
// along the columns, then comes the next row block):
//
//   ternary   byte (r / 16) * 16 + (r % 4) * 4 + c, bits 2 * (r / 4 % 4) and the one above
//   int7      byte r * 4 + c
//   f32       word r
//
// Activations are int8 in [-127, 127]. Stored weights are moved up by an offset (1 or 64) so that
// they fit 7 unsigned bits, which every engine's relaxed dot product multiplies exactly; the offset
// times the sum of the activations is subtracted at the end. All sums are exact int32 (bounds at
// each kernel), so the strict and relaxed builds agree bit for bit.
//
// Shapes: rows is a multiple of 32, columns of 16.

import { ACTIVATION_BYTES } from "./quantize";

const RELAXED: bool = ASC_FEATURE_RELAXED_SIMD;

/** Masks come from memory: V8 builds a v128 constant anew each time round a loop. */
// prettier-ignore
const BYTE_MASKS: usize = memory.data<u8>([
  3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
  12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12,
  48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48,
], 16);
// prettier-ignore
const EVEN_MASKS: usize = memory.data<u16>([
  3, 3, 3, 3, 3, 3, 3, 3, 12, 12, 12, 12, 12, 12, 12, 12,
  48, 48, 48, 48, 48, 48, 48, 48, 192, 192, 192, 192, 192, 192, 192, 192,
  255, 255, 255, 255, 255, 255, 255, 255,
], 16);

/** Bytes of a ternary matrix. */
export function ternarySize(rows: u32, columns: u32): u64 {
  return ((<u64>rows) * columns) >> 2;
}

// @ts-ignore: decorator
@inline
function storeScaled(y: usize, accumulator: v128, offset: v128, scale: v128): void {
  v128.store(y, f32x4.mul(f32x4.convert_i32x4_s(i32x4.sub(accumulator, offset)), scale));
}

/**
 * y[rows] f32 = scale * (W x), W ternary, for activations x of the given sum (see quantize.ts).
 *
 * Each field of a byte is masked where it lies, so products are 1, 4 or 16 times too large until
 * the end: |sum| <= 48 * 127 * columns < 2^31 for columns < 352,000.
 */
export function matvecTernary(
  y: usize, w: usize, x: usize, rows: u32, columns: u32, sum: i32, scale: f32,
): void {
  if (RELAXED) matvecTernaryDot8(y, w, x, rows, columns, sum, scale);
  else matvecTernaryStrict(y, w, x, rows, columns, sum, scale);
}

function matvecTernaryDot8(
  y: usize, w: usize, x: usize, rows: u32, columns: u32, sum: i32, scale: f32,
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

/**
 * The same in baseline SIMD: 16-bit lanes hold columns 0 and 2 of a row, or 1 and 3 after a shift
 * by a byte; activations come widened and in that order (quantize.ts). Half a tile at a time, for
 * 16 rows: eight accumulators and four masks are more registers than there are.
 */
function matvecTernaryStrict(
  y: usize, w: usize, x: usize, rows: u32, columns: u32, sum: i32, scale: f32,
): void {
  const m0 = v128.load(EVEN_MASKS), m1 = v128.load(EVEN_MASKS, 16);
  const m2 = v128.load(EVEN_MASKS, 32), m3 = v128.load(EVEN_MASKS, 48);
  const xEnd = x + (columns << 1), block = columns << 3;
  for (const yEnd = y + (rows << 2); y < yEnd; y += 128, w += block) {
    for (let half: usize = 0; half < 2; half++) {
      let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0;
      for (let p = x, q = w + (half << 4); p < xEnd; p += 8, q += 32) {
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
      const offset = i32x4.splat(sum), s = f32x4.splat(scale), o = y + (half << 6);
      storeScaled(o, a0, offset, s);
      storeScaled(o + 16, i32x4.shr_s(a1, 2), offset, s);
      storeScaled(o + 32, i32x4.shr_s(a2, 4), offset, s);
      storeScaled(o + 48, i32x4.shr_s(a3, 6), offset, s);
    }
  }
}

/**
 * y[rows] f32 = scale * scales[row] * (W x), W int7 with a scale for each row: the head.
 * |sum| <= 127 * 127 * columns < 2^31 for columns < 133,000.
 */
export function matvecInt7(
  y: usize, w: usize, scales: usize, x: usize, rows: u32, columns: u32, sum: i32, scale: f32,
): void {
  const offset = i32x4.splat(sum << 6), s = f32x4.splat(scale);
  const xEnd = x + columns * ACTIVATION_BYTES;
  const low = v128.load(EVEN_MASKS, 64);
  for (const yEnd = y + (rows << 2); y < yEnd; y += 128, scales += 128) {
    let a0 = i32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
    if (RELAXED) {
      for (let p = x; p < xEnd; p += 4, w += 128) {
        const xv = v128.load32_splat(p);
        a0 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.load(w), a0);
        a1 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.load(w, 16), a1);
        a2 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.load(w, 32), a2);
        a3 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.load(w, 48), a3);
        a4 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.load(w, 64), a4);
        a5 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.load(w, 80), a5);
        a6 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.load(w, 96), a6);
        a7 = i32x4.relaxed_dot_i8x16_i7x16_add_s(xv, v128.load(w, 112), a7);
      }
    } else {
      for (let p = x; p < xEnd; p += 8, w += 128) {
        const even = v128.load32_splat(p), odd = v128.load32_splat(p, 4);
        a0 = addDotBytes(a0, v128.load(w), low, even, odd);
        a1 = addDotBytes(a1, v128.load(w, 16), low, even, odd);
        a2 = addDotBytes(a2, v128.load(w, 32), low, even, odd);
        a3 = addDotBytes(a3, v128.load(w, 48), low, even, odd);
        a4 = addDotBytes(a4, v128.load(w, 64), low, even, odd);
        a5 = addDotBytes(a5, v128.load(w, 80), low, even, odd);
        a6 = addDotBytes(a6, v128.load(w, 96), low, even, odd);
        a7 = addDotBytes(a7, v128.load(w, 112), low, even, odd);
      }
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

// @ts-ignore: decorator
@inline
function addDotBytes(sum: v128, w: v128, low: v128, even: v128, odd: v128): v128 {
  sum = i32x4.add(sum, i32x4.dot_i16x8_s(v128.and(w, low), even));
  return i32x4.add(sum, i32x4.dot_i16x8_s(i16x8.shr_u(w, 8), odd));
}

/**
 * y[rows] f32 = W x in f32, each row summed from its first column to its last, multiply and add
 * rounded apart: the same bits in every build.
 */
export function matvecF32(y: usize, w: usize, x: usize, rows: u32, columns: u32): void {
  const xEnd = x + (columns << 2);
  for (const yEnd = y + (rows << 2); y < yEnd; y += 128) {
    let a0 = f32x4.splat(0), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
    for (let p = x; p < xEnd; p += 4, w += 128) {
      const xv = v128.load32_splat(p);
      a0 = f32x4.add(a0, f32x4.mul(xv, v128.load(w)));
      a1 = f32x4.add(a1, f32x4.mul(xv, v128.load(w, 16)));
      a2 = f32x4.add(a2, f32x4.mul(xv, v128.load(w, 32)));
      a3 = f32x4.add(a3, f32x4.mul(xv, v128.load(w, 48)));
      a4 = f32x4.add(a4, f32x4.mul(xv, v128.load(w, 64)));
      a5 = f32x4.add(a5, f32x4.mul(xv, v128.load(w, 80)));
      a6 = f32x4.add(a6, f32x4.mul(xv, v128.load(w, 96)));
      a7 = f32x4.add(a7, f32x4.mul(xv, v128.load(w, 112)));
    }
    v128.store(y, a0); v128.store(y, a1, 16); v128.store(y, a2, 32); v128.store(y, a3, 48);
    v128.store(y, a4, 64); v128.store(y, a5, 80); v128.store(y, a6, 96); v128.store(y, a7, 112);
  }
}
