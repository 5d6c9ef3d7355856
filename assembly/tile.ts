// What the kernels of all instruction families share: masks for tiles, and the end of a sum.

/** The relaxed build has the relaxed dot products, the strict one has not. */
export const RELAXED: bool = ASC_FEATURE_RELAXED_SIMD;

// The families of dot products, as types, so that a generic function is compiled for each.
/** Relaxed, int8 by int7 into int32. */
export type Dot8 = i8;
/** Relaxed, int8 by int7 into int16. */
export type Dot16 = i16;
/** Baseline, int16 by int16 into int32. */
export type Strict = i32;

/**
 * For each of the first three 2-bit fields of a byte. Masks come from memory: V8 builds a v128
 * constant anew each time round a loop.
 */
// prettier-ignore
export const BYTE_MASKS: usize = memory.data<u8>([
  3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3,
  12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12, 12,
  48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48, 48,
], 16);

/** For each 2-bit field of the even bytes, then for those bytes whole. */
// prettier-ignore
export const EVEN_MASKS: usize = memory.data<u16>([
  3, 3, 3, 3, 3, 3, 3, 3, 12, 12, 12, 12, 12, 12, 12, 12,
  48, 48, 48, 48, 48, 48, 48, 48, 192, 192, 192, 192, 192, 192, 192, 192,
  255, 255, 255, 255, 255, 255, 255, 255,
], 16);

/** y[4] f32 = (sum - offset) * scale */
// @ts-ignore: decorator
@inline
export function storeScaled(y: usize, sum: v128, offset: v128, scale: v128): void {
  v128.store(y, f32x4.mul(f32x4.convert_i32x4_s(i32x4.sub(sum, offset)), scale));
}
