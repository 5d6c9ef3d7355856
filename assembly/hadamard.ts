// The orthonormal fast Walsh-Hadamard transform, in place: y = H x / sqrt(n), H[i][j] =
// (-1)^popcount(i & j). Its own inverse. n is a power of two, 16 at least.

/** Signs of the butterflies inside a vector, from memory: V8 rebuilds constants in loops. */
const SIGNS: usize = memory.data<f32>([1, -1, 1, -1, 1, 1, -1, -1], 16);

/**
 * x[n] f32. The first pass scales and does strides 1 and 2 inside a vector, 4 and 8 between four;
 * each later pass does two strides at once, the last perhaps one.
 */
export function hadamard(x: usize, n: u32): void {
  const alternate = v128.load(SIGNS), halves = v128.load(SIGNS, 16);
  const scale = f32x4.splat(<f32>(1 / Math.sqrt(<f64>n)));
  const end = x + (n << 2);
  for (let p = x; p < end; p += 64) {
    const a = butterfly(f32x4.mul(v128.load(p), scale), alternate, halves);
    const b = butterfly(f32x4.mul(v128.load(p, 16), scale), alternate, halves);
    const c = butterfly(f32x4.mul(v128.load(p, 32), scale), alternate, halves);
    const d = butterfly(f32x4.mul(v128.load(p, 48), scale), alternate, halves);
    const ab = f32x4.add(a, b), amb = f32x4.sub(a, b), cd = f32x4.add(c, d), cmd = f32x4.sub(c, d);
    v128.store(p, f32x4.add(ab, cd));
    v128.store(p, f32x4.add(amb, cmd), 16);
    v128.store(p, f32x4.sub(ab, cd), 32);
    v128.store(p, f32x4.sub(amb, cmd), 48);
  }
  let stride: usize = 64;
  for (; stride << 1 < end - x; stride <<= 2) {
    for (let block = x; block < end; block += stride << 2) {
      for (let p = block; p < block + stride; p += 16) {
        const q = p + (stride << 1);
        const a = v128.load(p), b = v128.load(p + stride);
        const c = v128.load(q), d = v128.load(q + stride);
        const ab = f32x4.add(a, b), amb = f32x4.sub(a, b);
        const cd = f32x4.add(c, d), cmd = f32x4.sub(c, d);
        v128.store(p, f32x4.add(ab, cd));
        v128.store(p + stride, f32x4.add(amb, cmd));
        v128.store(q, f32x4.sub(ab, cd));
        v128.store(q + stride, f32x4.sub(amb, cmd));
      }
    }
  }
  if (stride < end - x) {
    for (let p = x; p < x + stride; p += 16) {
      const a = v128.load(p), b = v128.load(p + stride);
      v128.store(p, f32x4.add(a, b));
      v128.store(p + stride, f32x4.sub(a, b));
    }
  }
}

/** Strides 1 and 2 inside one vector. */
// @ts-ignore: decorator
@inline
function butterfly(v: v128, alternate: v128, halves: v128): v128 {
  v = f32x4.add(v128.shuffle<i32>(v, v, 1, 0, 3, 2), f32x4.mul(v, alternate));
  return f32x4.add(v128.shuffle<i32>(v, v, 2, 3, 0, 1), f32x4.mul(v, halves));
}
