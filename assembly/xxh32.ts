// XXH32 with seed 0 (Collet, github.com/Cyan4973/xxHash, doc/xxhash_spec.md), its four
// accumulators in the lanes of one vector.

const P1: u32 = 2654435761;
const P2: u32 = 2246822519;
const P3: u32 = 3266489917;
const P4: u32 = 668265263;
const P5: u32 = 374761393;

export function xxh32(p: usize, size: u32): u32 {
  const end = p + size;
  let hash: u32 = P5;
  if (size >= 16) {
    const p1 = i32x4.splat(P1), p2 = i32x4.splat(P2);
    let v = i32x4(P1 + P2, P2, 0, 0 - P1);
    for (const last = end - 16; p <= last; p += 16) {
      v = i32x4.add(v, i32x4.mul(v128.load(p), p2));
      v = i32x4.mul(v128.or(i32x4.shl(v, 13), i32x4.shr_u(v, 19)), p1);
    }
    hash =
      rotl<u32>(i32x4.extract_lane(v, 0), 1) + rotl<u32>(i32x4.extract_lane(v, 1), 7) +
      rotl<u32>(i32x4.extract_lane(v, 2), 12) + rotl<u32>(i32x4.extract_lane(v, 3), 18);
  }
  hash += size;
  for (; p + 4 <= end; p += 4) hash = rotl<u32>(hash + load<u32>(p) * P3, 17) * P4;
  for (; p < end; p++) hash = rotl<u32>(hash + <u32>load<u8>(p) * P5, 11) * P1;
  hash = (hash ^ (hash >> 15)) * P2;
  hash = (hash ^ (hash >> 13)) * P3;
  return hash ^ (hash >> 16);
}
