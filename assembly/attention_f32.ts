// attention.ts for f32 models: the same functions on keys and values that stay f32. The baseline to
// measure against, so exact rather than fast.
//
// The cache of a layer holds for each key-value head keys, values, both f32 (maxSeqLen, headDim), and
// ones, f32 (maxSeqLen rounded up to 16), where the integer form has the values' scales.

import { dot, LOG2E, softmax } from "./nn";

/** u64: the header's limits allow more than 32 bits, and then loading must fail. */
function headSize(maxSeqLen: usize, headDim: usize): u64 {
  return (<u64>maxSeqLen * headDim << 3) + weightsSize(maxSeqLen);
}

function weightsSize(maxSeqLen: usize): usize {
  return ((maxSeqLen + 15) & ~15) << 2;
}

/** Bytes of the keys and values of one layer. */
export function cacheSize(kvHeads: u32, maxSeqLen: u32, headDim: u32): u64 {
  return kvHeads * headSize(maxSeqLen, headDim);
}

/** Bytes of scratch that attention() needs. */
export function scratchSize(maxSeqLen: usize): usize {
  return weightsSize(maxSeqLen);
}

/** Puts k and v, each (kvHeads, headDim) f32, at `position`. */
export function storeKeyValue(
  cache: usize, k: usize, v: usize, position: usize, kvHeads: usize, maxSeqLen: usize, headDim: usize,
): void {
  const size = headDim << 2, block = maxSeqLen * size;
  for (let head: usize = 0; head < kvHeads; head++, k += size, v += size) {
    memory.copy(cache + position * size, k, size);
    memory.copy(cache + block + position * size, v, size);
    store<f32>(cache + (block << 1) + (position << 2), 1);
    cache += <usize>headSize(maxSeqLen, headDim);
  }
}

/**
 * y[heads * headDim] = softmax(q k / sqrt(headDim)) v over positions 0..count-1. Query heads
 * h * heads / kvHeads and on share key head h. headDim is a multiple of 16.
 */
export function attention(
  y: usize, q: usize, cache: usize, scores: usize,
  count: usize, heads: usize, kvHeads: usize, maxSeqLen: usize, headDim: usize,
): void {
  const size = headDim << 2, block = maxSeqLen * size, group = heads / kvHeads;
  const scale: f32 = LOG2E / sqrt<f32>(<f32>headDim);
  for (let head: usize = 0; head < heads; head++, q += size, y += size) {
    const keys = cache + (head / group) * <usize>headSize(maxSeqLen, headDim), values = keys + block;
    for (let i: usize = 0; i < count; i++) {
      store<f32>(scores + (i << 2), dot(q, keys + i * size, headDim) * scale);
    }
    const inverse = f32x4.splat(softmax(scores, values + block, count));
    const valuesEnd = values + count * size;
    for (let i: usize = 0; i < size; i += 16) {
      let sum = f32x4.splat(0);
      for (let v = values + i, s = scores; v < valuesEnd; v += size, s += 4) {
        sum = f32x4.add(sum, f32x4.mul(v128.load32_splat(s), v128.load(v)));
      }
      v128.store(y + i, f32x4.mul(sum, inverse));
    }
  }
}
