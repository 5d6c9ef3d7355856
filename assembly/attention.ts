// Grouped-query attention of one token over the keys and values so far, its own included.
//
// A layer's cache is keys, then values, each (kvHeads, maxSeqLen, headDim) f32: one head's keys of
// successive positions lie one behind the other, so that a head reads memory in order.

import { softmax, sumLanes } from "./nn";

/** Bytes of the keys and values of one layer. */
export function cacheSize(kvHeads: u32, maxSeqLen: u32, headDim: u32): u64 {
  return (<u64>kvHeads * maxSeqLen * headDim) << 3;
}

/** Puts k and v, each kvHeads * headDim, at `position`. */
export function storeKeyValue(
  cache: usize, k: usize, v: usize, position: u32, kvHeads: u32, maxSeqLen: u32, headDim: u32,
): void {
  const size: usize = headDim << 2, stride = <usize>maxSeqLen * size;
  cache += position * size;
  for (let head: u32 = 0; head < kvHeads; head++, cache += stride, k += size, v += size) {
    memory.copy(cache, k, size);
    memory.copy(cache + kvHeads * stride, v, size);
  }
}

/**
 * y[heads * headDim] = softmax(q k / sqrt(headDim)) v over positions 0..count-1. Query heads
 * h * heads / kvHeads and on share key head h. `scores` is scratch for maxSeqLen floats, rounded up
 * to 4. headDim is a multiple of 16.
 */
export function attention(
  y: usize, q: usize, cache: usize, scores: usize,
  count: u32, heads: u32, kvHeads: u32, maxSeqLen: u32, headDim: u32,
): void {
  const size: usize = headDim << 2, stride = <usize>maxSeqLen * size;
  const group = heads / kvHeads, scale: f32 = 1 / sqrt<f32>(<f32>headDim);
  for (let head: u32 = 0; head < heads; head++, q += size, y += size) {
    const keys = cache + (head / group) * stride, values = keys + kvHeads * stride;
    const keysEnd = keys + count * size;
    for (let k = keys, s = scores; k < keysEnd; k += size, s += 4) {
      let a = f32x4.splat(0), b = a;
      for (let i: usize = 0; i < size; i += 32) {
        a = f32x4.add(a, f32x4.mul(v128.load(q + i), v128.load(k + i)));
        b = f32x4.add(b, f32x4.mul(v128.load(q + i, 16), v128.load(k + i, 16)));
      }
      store<f32>(s, sumLanes(f32x4.add(a, b)) * scale);
    }
    const inverse = f32x4.splat(softmax(scores, count));
    const valuesEnd = values + count * size;
    for (let i: usize = 0; i < size; i += 64) {
      let a = f32x4.splat(0), b = a, c = a, d = a;
      for (let v = values + i, s = scores; v < valuesEnd; v += size, s += 4) {
        const p = v128.load32_splat(s);
        a = f32x4.add(a, f32x4.mul(p, v128.load(v)));
        b = f32x4.add(b, f32x4.mul(p, v128.load(v, 16)));
        c = f32x4.add(c, f32x4.mul(p, v128.load(v, 32)));
        d = f32x4.add(d, f32x4.mul(p, v128.load(v, 48)));
      }
      v128.store(y + i, f32x4.mul(a, inverse));
      v128.store(y + i, f32x4.mul(b, inverse), 16);
      v128.store(y + i, f32x4.mul(c, inverse), 32);
      v128.store(y + i, f32x4.mul(d, inverse), 48);
    }
  }
}
