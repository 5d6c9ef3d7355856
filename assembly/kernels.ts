// Not shipped: the kernels themselves, unchecked, and their references, for tests and benchmarks.

import * as quantized from "./quantize";

export { attention, cacheSize, scratchSize, storeKeyValue } from "./attention";
export {
  attention as attentionF32,
  cacheSize as cacheSizeF32,
  storeKeyValue as storeKeyValueF32,
} from "./attention_f32";
export { hadamard } from "./hadamard";
export { matmulInt7, matmulTernary, matvecF32, setKernel } from "./matmul";
export { addTo, dot, fillRope, rope, softmax } from "./nn";
export { absmax, norm, normGated, quantize, quantizedSize } from "./quantize";
export * from "./reference";
export { xxh32 } from "./xxh32";

/** Of the last norm() or normGated(). */
export function peak(): f32 {
  return quantized.peak;
}

/** Where a caller may put what it likes. */
export function heapBase(): usize {
  return (__heap_base + 63) & ~63;
}
