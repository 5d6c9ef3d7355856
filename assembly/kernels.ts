// Not shipped: the kernels themselves, unchecked, and their references, for tests and benchmarks.

import * as activation from "./quantize";

export { attention, cacheSize, storeKeyValue } from "./attention";
export { hadamard } from "./hadamard";
export { checksum, imageSize, readHeader, verify } from "./image";
export { matvecF32, matvecInt7, matvecTernary, ternarySize } from "./matmul";
export { addTo, dot, fillRope, relu2Gate, rmsnorm, rope, softmax } from "./nn";
export { quantize } from "./quantize";
export * from "./reference";
export { xxh32 } from "./xxh32";

export function inverseScale(): f32 {
  return activation.inverseScale;
}

export function activationSum(): i32 {
  return activation.sum;
}

/** Where a caller may put what it likes. */
export function heapBase(): usize {
  return (__heap_base + 63) & ~63;
}
