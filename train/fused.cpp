// What a linear layer multiplies, in one pass over each row: (gated relu²), RMSNorm, Hadamard
// transform, absmax quantisation. model.py has the same in plain PyTorch, and train/test_model.py
// compares the two; this file only saves the dozen trips to memory that the plain form makes.
// float32, contiguous, one row a token. R rows, n columns.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

// In place, orthonormal; n is a power of two.
void hadamard(float* x, int64_t n) {
  for (int64_t h = 1; h < n; h *= 2) {
    for (int64_t i = 0; i < n; i += 2 * h) {
#pragma omp simd
      for (int64_t j = i; j < i + h; j++) {
        const float a = x[j], b = x[j + h];
        x[j] = a + b;
        x[j + h] = a - b;
      }
    }
  }
  const float scale = 1 / std::sqrt(float(n));
#pragma omp simd
  for (int64_t j = 0; j < n; j++) x[j] *= scale;
}

// In place: levels / absmax is the scale; half to even.
void quantize(float* x, int64_t n, float levels) {
  float absmax = 1e-5f;
#pragma omp simd reduction(max : absmax)
  for (int64_t j = 0; j < n; j++) absmax = std::max(absmax, std::fabs(x[j]));
  const float scale = levels / absmax;
#pragma omp simd
  for (int64_t j = 0; j < n; j++) x[j] = std::nearbyintf(x[j] * scale) / scale;
}

// z[n] = relu(gate)² · up, from a row (gate[n], up[n]); or the row itself where it is not gated.
const float* activate(const float* row, int64_t n, bool gated, float* z) {
  if (!gated) return row;
#pragma omp simd
  for (int64_t j = 0; j < n; j++) {
    const float g = std::max(row[j], 0.0f);
    z[j] = g * g * row[n + j];
  }
  return z;
}

}  // namespace

// -> y (R, n) and 1/rms (R). levels = 0: not quantised. x is (R, n), or (R, 2n) where gated.
extern "C" void linear_input_forward(const float* x, const float* gain, float* y,
                                     float* inverse_rms, int64_t rows, int64_t n, float eps,
                                     float levels, bool transform, bool gated) {
  const int64_t width = gated ? 2 * n : n;
  std::vector<float> buffer(n);
  for (int64_t r = 0; r < rows; r++) {
    const float* z = activate(x + r * width, n, gated, buffer.data());
    float* out = y + r * n;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t j = 0; j < n; j++) sum += z[j] * z[j];
    const float scale = 1 / std::sqrt(sum / n + eps);
    inverse_rms[r] = scale;
#pragma omp simd
    for (int64_t j = 0; j < n; j++) out[j] = z[j] * scale * gain[j];
    if (transform) hadamard(out, n);
    if (levels > 0) quantize(out, n, levels);
  }
}

// dy (R, n) -> dx like x, and dgain (n) added to. Quantisation passes the gradient straight
// through; the transform is its own inverse. With x̂ = z/rms and d = dy·gain:
// dz = (d − x̂·mean(d·x̂))/rms.
extern "C" void linear_input_backward(const float* dy, const float* x, const float* gain,
                                      const float* inverse_rms, float* dx, float* dgain,
                                      int64_t rows, int64_t n, bool transform, bool gated) {
  const int64_t width = gated ? 2 * n : n;
  std::vector<float> buffer(n), d(n);
  for (int64_t r = 0; r < rows; r++) {
    const float* row = x + r * width;
    const float* z = activate(row, n, gated, buffer.data());
    const float scale = inverse_rms[r];
    std::copy_n(dy + r * n, n, d.data());
    if (transform) hadamard(d.data(), n);
    float dot = 0;
#pragma omp simd reduction(+ : dot)
    for (int64_t j = 0; j < n; j++) {
      const float normed = z[j] * scale;
      dgain[j] += d[j] * normed;
      d[j] *= gain[j];
      dot += d[j] * normed;
    }
    const float mean = dot / n;
    float* out = dx + r * width;
    if (gated) {
#pragma omp simd
      for (int64_t j = 0; j < n; j++) {
        const float dz = (d[j] - z[j] * scale * mean) * scale;
        const float relu = std::max(row[j], 0.0f);
        out[j] = dz * 2 * relu * row[n + j];
        out[n + j] = dz * relu * relu;
      }
    } else {
#pragma omp simd
      for (int64_t j = 0; j < n; j++) out[j] = (d[j] - z[j] * scale * mean) * scale;
    }
  }
}
