// Matrix products, y = W x for one or more tokens x. Three kinds of weights, one tile shape: 32
// rows, and along the columns as many as fill the tile, so that a column's activations are broadcast
// to all lanes and no lane is ever summed with its neighbour.
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
// each kernel), so all kernels agree bit for bit.
//
// Shapes: rows is a multiple of 32, columns of 16.

import * as dot16 from "./dot16";
import * as dot8 from "./dot8";
import * as int7 from "./int7";
import { INVERSE_SCALE, SUM, TOKEN_SIZE } from "./quantize";
import * as strict from "./strict";
import { Dot16, Dot8, RELAXED, Strict } from "./tile";

export const KERNEL_STRICT: u32 = 0;
export const KERNEL_DOT8: u32 = 1;
export const KERNEL_DOT16: u32 = 2;

/** What the matrix products use. */
export let kernel: u32 = RELAXED ? KERNEL_DOT8 : KERNEL_STRICT;

/** Whether this build has the kernel; if so, it is used from now on. */
export function setKernel(k: u32): bool {
  if (RELAXED ? k != KERNEL_DOT8 && k != KERNEL_DOT16 : k != KERNEL_STRICT) return false;
  kernel = k;
  return true;
}

/** Bytes of a ternary matrix. */
export function ternarySize(rows: u32, columns: u32): u64 {
  return ((<u64>rows) * columns) >> 2;
}

/**
 * y[count][rows] f32 = scale * (W x), W ternary, for `count` tokens that quantize() left at x, one
 * each `xStride` bytes; rows of y are `yStride` bytes apart.
 */
export function matmulTernary(
  y: usize, yStride: usize, w: usize, x: usize, xStride: usize,
  rows: usize, columns: usize, count: usize, scale: f32,
): void {
  let i: usize = 0;
  for (; i + 2 <= count; i += 2, y += yStride << 1, x += xStride << 1) {
    const x2 = x + xStride;
    const sum = load<i32>(x, SUM), scale1 = scale * load<f32>(x, INVERSE_SCALE);
    const sum2 = load<i32>(x2, SUM), scale2 = scale * load<f32>(x2, INVERSE_SCALE);
    const codes = x + TOKEN_SIZE;
    if (!RELAXED) {
      strict.matmulTernary2(y, yStride, w, codes, xStride, rows, columns, sum, scale1, sum2, scale2);
    } else if (kernel == KERNEL_DOT8) {
      dot8.matmulTernary2(y, yStride, w, codes, xStride, rows, columns, sum, scale1, sum2, scale2);
    } else {
      dot16.matmulTernary2(y, yStride, w, codes, xStride, rows, columns, sum, scale1, sum2, scale2);
    }
  }
  if (i == count) return;
  const sum = load<i32>(x, SUM), s = scale * load<f32>(x, INVERSE_SCALE), codes = x + TOKEN_SIZE;
  if (!RELAXED) strict.matvecTernary(y, w, codes, rows, columns, sum, s);
  else if (kernel == KERNEL_DOT8) dot8.matvecTernary(y, w, codes, rows, columns, sum, s);
  else dot16.matvecTernary(y, w, codes, rows, columns, sum, s);
}

/**
 * y[count][rows] f32 = scale * scales[row] * (W x), W int7, for tokens as in matmulTernary(). Two
 * tokens' rows of y may not overlap.
 */
export function matmulInt7(
  y: usize, yStride: usize, w: usize, scales: usize, x: usize, xStride: usize,
  rows: usize, columns: usize, count: usize, scale: f32,
): void {
  let i: usize = 0;
  for (; i + 2 <= count; i += 2, y += yStride << 1, x += xStride << 1) {
    const x2 = x + xStride;
    const sum = load<i32>(x, SUM), s = scale * load<f32>(x, INVERSE_SCALE);
    const sum2 = load<i32>(x2, SUM), s2 = scale * load<f32>(x2, INVERSE_SCALE);
    const codes = x + TOKEN_SIZE;
    if (!RELAXED) {
      int7.matmulInt7x2<Strict>(
        y, yStride, w, scales, codes, xStride, rows, columns, sum, s, sum2, s2,
      );
    } else if (kernel == KERNEL_DOT8) {
      int7.matmulInt7x2<Dot8>(
        y, yStride, w, scales, codes, xStride, rows, columns, sum, s, sum2, s2,
      );
    } else {
      int7.matmulInt7x2<Dot16>(
        y, yStride, w, scales, codes, xStride, rows, columns, sum, s, sum2, s2,
      );
    }
  }
  if (i == count) return;
  const sum = load<i32>(x, SUM), s = scale * load<f32>(x, INVERSE_SCALE), codes = x + TOKEN_SIZE;
  if (!RELAXED) int7.matvecInt7<Strict>(y, w, scales, codes, rows, columns, sum, s);
  else if (kernel == KERNEL_DOT8) int7.matvecInt7<Dot8>(y, w, scales, codes, rows, columns, sum, s);
  else int7.matvecInt7<Dot16>(y, w, scales, codes, rows, columns, sum, s);
}

/**
 * y[rows] f32 = scale * (W x) in f32, each row summed from its first column to its last, multiply
 * and add rounded apart: the same bits in every build.
 */
export function matvecF32(
  y: usize, w: usize, x: usize, rows: usize, columns: usize, scale: f32,
): void {
  const xEnd = x + (columns << 2), s = f32x4.splat(scale);
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
    v128.store(y, f32x4.mul(a0, s));
    v128.store(y, f32x4.mul(a1, s), 16);
    v128.store(y, f32x4.mul(a2, s), 32);
    v128.store(y, f32x4.mul(a3, s), 48);
    v128.store(y, f32x4.mul(a4, s), 64);
    v128.store(y, f32x4.mul(a5, s), 80);
    v128.store(y, f32x4.mul(a6, s), 96);
    v128.store(y, f32x4.mul(a7, s), 112);
  }
}
