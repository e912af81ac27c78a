#pragma once

// What the kernel tests share: random shapes and content, buffers that notice when they are overrun, and the
// comparison with a reference by normalised mean squared error.

#include <cmath>
#include <cstdint>
#include <cstring>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "check.hpp"
#include "cpu/dispatch.hpp"
#include "cpu/kernels/table.hpp"

#if defined(__SANITIZE_ADDRESS__)
#define LUTRA_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LUTRA_ADDRESS_SANITIZER 1
#endif
#endif

namespace lutra::check {

class Random {
 public:
  explicit Random(unsigned seed) : engine_(seed) {}

  int64_t integer(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(engine_);
  }
  float real(float low, float high) { return std::uniform_real_distribution<float>(low, high)(engine_); }
  bool coin() { return integer(0, 1) == 1; }

 private:
  std::mt19937 engine_;
};

/// Floats between two zones of sentinels. Under the address sanitizer the zones are left out, so that the
/// sanitizer sees the exact bounds and notices reads as well.
class Guarded {
 public:
  explicit Guarded(int64_t count) : count_(static_cast<size_t>(count)), data_(new float[count_ + 2 * kZone]) {
    for (size_t i = 0; i < count_ + 2 * kZone; ++i) data_[i] = kSentinel;
  }
  Guarded(int64_t count, Random& random, float low = -1.0F, float high = 1.0F) : Guarded(count) {
    for (size_t i = 0; i < count_; ++i) data()[i] = random.real(low, high);
  }

  float* data() { return data_.get() + kZone; }
  const float* data() const { return data_.get() + kZone; }
  size_t size() const { return count_; }

  bool intact() const {
    for (size_t i = 0; i < kZone; ++i)
      if (data_[i] != kSentinel || data_[kZone + count_ + i] != kSentinel) return false;
    return true;
  }

 private:
#if LUTRA_ADDRESS_SANITIZER
  static constexpr size_t kZone = 0;
#else
  static constexpr size_t kZone = 64;
#endif
  static constexpr float kSentinel = -7.0e30F;

  size_t count_;
  std::unique_ptr<float[]> data_;
};

/// Mean squared error over mean square of the reference; NaN counts as infinitely wrong.
inline double nmse(const Guarded& result, const Guarded& reference) {
  double error = 0.0;
  double power = 0.0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const double difference = static_cast<double>(result.data()[i]) - reference.data()[i];
    error += difference * difference;
    power += static_cast<double>(reference.data()[i]) * reference.data()[i];
  }
  if (std::isnan(error)) return INFINITY;
  return error == 0.0 ? 0.0 : error / std::max(power, 1e-30);
}

/// Rounding of float32 sums gives about 1e-13; a single wrong element of a thousand gives 1e-3.
constexpr double kTolerance = 1e-10;

inline void record_close(const Guarded& result, const Guarded& reference, const std::string& what,
                         const char* file, int line, double tolerance = kTolerance) {
  const double error = nmse(result, reference);
  record(error <= tolerance, (what + ": normalised error " + std::to_string(error)).c_str(), file, line);
  record(result.intact(), (what + ": wrote outside the output").c_str(), file, line);
}

inline std::string join(std::initializer_list<int64_t> values) {
  std::string text;
  for (const int64_t value : values) text.append(text.empty() ? "" : " ").append(std::to_string(value));
  return text;
}

/// Runs `test(kernels, name)` for every instruction set of this machine.
template <class Test>
void for_each_isa(Test test) {
  for (const Isa isa : available_isas()) test(cpu::kernel_table(isa), std::string(isa_name(isa)));
}

}  // namespace lutra::check

#define CHECK_CLOSE(result, reference, what) \
  ::lutra::check::record_close(result, reference, what, __FILE__, __LINE__)
