// Grouped-query attention of one token over the keys and values so far, its own included.
//
// Keys and values are int7 with a scale for each vector (absmax / 63), in the tiles of matmul.ts, so
// that scores and sums are two matrix products: keys are a matrix of positions x headDim, values one
// of headDim x positions. Both factors of the second are quantised too: probabilities, times the
// values' scales, to 127 levels. LOG.md has what that costs.
//
// The cache of a layer holds for each key-value head, with S = maxSeqLen rounded up to 32:
// keys int7 (S, headDim), their scales f32 (S), values int7 (headDim rounded up to 32, S), their
// scales f32 (S).

import { matmulInt7 } from "./matmul";
import { LOG2E, softmax, softmaxPeak } from "./nn";
import { absmax, quantize, quantizedSize, roundToInt } from "./quantize";

/**
 * What codes are scaled to, and what scales are: keys and values are small integers times one number,
 * all the more with 4-bit activations, so that many would lie halfway between two codes and be
 * rounded as the noise of the last bit has it. A little less than 63 takes them towards zero, in
 * whatever order an implementation computes.
 */
const CODE_RANGE: f32 = 63.0 * (1.0 - 1.0 / 65536.0);
const LEVELS: f32 = 63;
const ONES: usize = memory.data<f32>([
  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
  1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
], 16);

// @ts-ignore: decorator
@inline
function up32(n: usize): usize {
  return (n + 31) & ~31;
}

/** Bytes of one key-value head of one layer: by the header's limits at most 2^31 + 2^19. */
function headSize(maxSeqLen: usize, headDim: usize): usize {
  return up32(maxSeqLen) * (headDim + up32(headDim) + 8);
}

/** Bytes of the keys and values of one layer. */
export function cacheSize(kvHeads: u32, maxSeqLen: u32, headDim: u32): u64 {
  return <u64>kvHeads * headSize(maxSeqLen, headDim);
}

/** Bytes of scratch that attention() needs, for `group` query heads to a key-value head. */
export function scratchSize(group: usize, maxSeqLen: usize, headDim: usize): usize {
  const positions = up32(maxSeqLen);
  return group * (quantizedSize(headDim) + (positions << 2) + quantizedSize(positions));
}

/** Puts k and v, each (kvHeads, headDim) f32, at `position`. */
export function storeKeyValue(
  cache: usize, k: usize, v: usize, position: usize, kvHeads: usize, maxSeqLen: usize, headDim: usize,
): void {
  const positions = up32(maxSeqLen), vectorSize = headDim << 2;
  for (let head: usize = 0; head < kvHeads; head++, k += vectorSize, v += vectorSize) {
    const keyScales = cache + positions * headDim;
    const values = keyScales + (positions << 2);
    const valueScales = values + positions * up32(headDim);

    let range = max(absmax(k, headDim), 1e-5);
    store<f32>(keyScales + (position << 2), range / LEVELS);
    let scale = f32x4.splat(CODE_RANGE / range);
    let at = cache + (position >> 5) * (headDim << 5) + ((position & 31) << 2);
    for (let i: usize = 0; i < vectorSize; i += 16, at += 128) {
      v128.store32_lane(at, code4(k + i, scale), 0);
    }

    range = max(absmax(v, headDim), 1e-5);
    store<f32>(valueScales + (position << 2), range / LEVELS);
    scale = f32x4.splat(CODE_RANGE / range);
    at = values + ((position >> 2) << 7) + (position & 3);
    for (let i: usize = 0; i < vectorSize; i += 16) {
      const codes = code4(v + i, scale);
      // Rows i / 4 to i / 4 + 3 of a tile lie 4 bytes apart; row blocks of 32, positions * 32.
      const p = at + (i >> 7) * (positions << 5) + (i & 127);
      v128.store8_lane(p, codes, 0);
      v128.store8_lane(p, codes, 1, 4);
      v128.store8_lane(p, codes, 2, 8);
      v128.store8_lane(p, codes, 3, 12);
    }
    cache += headSize(maxSeqLen, headDim);
  }
}

/** Four int7 codes, + 64, in the lowest four bytes. */
// @ts-ignore: decorator
@inline
function code4(x: usize, scale: v128): v128 {
  const codes = i32x4.add(roundToInt(f32x4.mul(v128.load(x), scale)), i32x4.splat(64));
  const words = i16x8.narrow_i32x4_s(codes, codes);
  return i8x16.narrow_i16x8_u(words, words);
}

/**
 * y[heads * headDim] = softmax(q k / sqrt(headDim)) v over positions 0..count-1. Query heads
 * h * heads / kvHeads and on share key head h, and go through its keys and values together. y has
 * room for 16 more floats, which may be overwritten. headDim is a multiple of 16.
 */
export function attention(
  y: usize, q: usize, cache: usize, scratch: usize,
  count: usize, heads: usize, kvHeads: usize, maxSeqLen: usize, headDim: usize,
): void {
  const positions = up32(maxSeqLen), vectorSize = headDim << 2;
  const group = heads / kvHeads, columns = (count + 15) & ~15;
  const querySize = quantizedSize(headDim), weightsSize = quantizedSize(positions);
  const scores = scratch + group * querySize, scoresSize = positions << 2;
  const weights = scores + group * scoresSize;
  const factor: f32 = LOG2E / sqrt<f32>(<f32>headDim);
  for (let kvHead: usize = 0; kvHead < kvHeads; kvHead++) {
    const keys = cache + kvHead * headSize(maxSeqLen, headDim);
    const keyScales = keys + positions * headDim;
    const values = keyScales + (positions << 2);
    const valueScales = values + positions * up32(headDim);
    for (let i: usize = 0; i < group; i++, q += vectorSize) {
      quantize(scratch + i * querySize, q, headDim, 127, absmax(q, headDim), factor);
    }
    matmulInt7(
      scores, scoresSize, keys, keyScales, scratch, querySize, up32(count), headDim, group, 1,
    );
    for (let i: usize = 0; i < group; i++) {
      const row = scores + i * scoresSize, inverse = softmax(row, valueScales, count);
      quantize(weights + i * weightsSize, row, columns, 127, softmaxPeak, inverse);
    }
    // A head that does not fill its last tile writes into the next head's place: one by one, then.
    const together: usize = headDim & 31 ? 1 : group;
    for (let i: usize = 0; i < group; i += together, y += together * vectorSize) {
      for (let j: usize = 0; j < headDim; j += 32) {
        matmulInt7(
          y + (j << 2), vectorSize, values + j * positions, ONES, weights + i * weightsSize,
          weightsSize, 32, columns, together, 1,
        );
      }
    }
  }
}
