// The dot8 kernel of assembly/dot8.ts in C with the same 128-bit instruction, to measure what
// WebAssembly costs. Prints GMAC/s for each shape given: ternary ROWSxCOLUMNS...
#include <immintrin.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#if defined(__AVXVNNI__)
#define DOT _mm_dpbusd_avx_epi32
#elif defined(__AVX512VNNI__) && defined(__AVX512VL__)
#define DOT _mm_dpbusd_epi32
#else
#error "this CPU has no 128-bit VNNI"
#endif

__attribute__((noinline)) static void matvec_ternary(float *y, const uint8_t *w, const int8_t *x,
                                                     int rows, int columns, int sum, float scale) {
  const __m128i m0 = _mm_set1_epi8(3), m1 = _mm_set1_epi8(12), m2 = _mm_set1_epi8(48);
  for (int row = 0; row < rows; row += 32) {
    __m128i a0 = _mm_setzero_si128(), a1 = a0, a2 = a0, a3 = a0, a4 = a0, a5 = a0, a6 = a0, a7 = a0;
    for (int c = 0; c < columns; c += 4, w += 32) {
      const __m128i xv = _mm_set1_epi32(*(const int32_t *)(x + c));
      const __m128i lo = _mm_loadu_si128((const __m128i *)w);
      const __m128i hi = _mm_loadu_si128((const __m128i *)(w + 16));
      a0 = DOT(a0, _mm_and_si128(lo, m0), xv);
      a1 = DOT(a1, _mm_and_si128(lo, m1), xv);
      a2 = DOT(a2, _mm_and_si128(lo, m2), xv);
      a3 = DOT(a3, _mm_and_si128(_mm_srli_epi16(lo, 6), m0), xv);
      a4 = DOT(a4, _mm_and_si128(hi, m0), xv);
      a5 = DOT(a5, _mm_and_si128(hi, m1), xv);
      a6 = DOT(a6, _mm_and_si128(hi, m2), xv);
      a7 = DOT(a7, _mm_and_si128(_mm_srli_epi16(hi, 6), m0), xv);
#ifdef __GNUC__
      // Keeps gcc from shuffling the sums between registers, which costs it a quarter.
      __asm__("" : "+x"(a0), "+x"(a1), "+x"(a2), "+x"(a3), "+x"(a4), "+x"(a5), "+x"(a6), "+x"(a7));
#endif
    }
    const __m128i sums[8] = {a0, _mm_srai_epi32(a1, 2), _mm_srai_epi32(a2, 4), a3,
                             a4, _mm_srai_epi32(a5, 2), _mm_srai_epi32(a6, 4), a7};
    for (int i = 0; i < 8; i++) {
      const __m128 exact = _mm_cvtepi32_ps(_mm_sub_epi32(sums[i], _mm_set1_epi32(sum)));
      _mm_storeu_ps(y + row + 4 * i, _mm_mul_ps(exact, _mm_set1_ps(scale)));
    }
  }
}

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static int ascending(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  for (int arg = 1; arg < argc; arg++) {
    int rows, columns;
    if (sscanf(argv[arg], "%dx%d", &rows, &columns) != 2) return 2;
    uint8_t *w = aligned_alloc(64, (size_t)rows * columns / 4);
    int8_t *x = aligned_alloc(64, columns);
    float *y = aligned_alloc(64, rows * sizeof(float));
    for (int i = 0; i < rows * columns / 4; i++) w[i] = rand() & 0xaa;
    for (int i = 0; i < columns; i++) x[i] = rand() % 255 - 127;
    const int repeats = 4000000 / (rows * columns / 64) + 1;
    for (const double begun = seconds(); seconds() < begun + 0.05;)  // until the clock is up
      matvec_ternary(y, w, x, rows, columns, 0, 1);
    double times[9];
    for (int round = 0; round < 9; round++) {
      const double begun = seconds();
      for (int i = 0; i < repeats; i++) matvec_ternary(y, w, x, rows, columns, i, 1);
      times[round] = (seconds() - begun) / repeats;
    }
    qsort(times, 9, sizeof times[0], ascending);
    printf("%.2f\n", rows * (double)columns / times[4] / 1e9);
    free(w), free(x), free(y);
  }
}
