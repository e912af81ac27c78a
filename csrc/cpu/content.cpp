#include "cpu/content.hpp"

#include <algorithm>
#include <cmath>

namespace lutra::cpu {

namespace {

// Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators" (2014).
class SplitMix64 {
 public:
  explicit SplitMix64(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
  }

  /// Uniform in [0, 1), of 24 random bits: every value is a float.
  float uniform() { return static_cast<float>(next() >> 40) * 0x1p-24F; }

 private:
  uint64_t state_;
};

uint64_t seed_of(std::string_view name, uint64_t seed, int64_t copy) {
  uint64_t hash = 0xcbf29ce484222325U;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  return SplitMix64(SplitMix64(hash ^ seed).next() + static_cast<uint64_t>(copy)).next();
}

// Uniform in [low, low + values).
template <class Integer>
void fill_integers(SplitMix64& random, int64_t low, int64_t values, int64_t count, void* data) {
  std::generate_n(static_cast<Integer*>(data), count, [&] {
    return static_cast<Integer>(low + static_cast<int64_t>(random.next() % static_cast<uint64_t>(values)));
  });
}

}  // namespace

void fill_random(const TensorSpec& spec, uint64_t seed, int64_t copy, int64_t id_limit, void* data) {
  SplitMix64 random(seed_of(spec.name, seed, copy));
  const int64_t count = elements(spec.shape);
  switch (spec.dtype) {
    case DType::kInt64:
      return fill_integers<int64_t>(random, 0, std::max<int64_t>(id_limit, 1), count, data);
    case DType::kUint8:
      return fill_integers<uint8_t>(random, 0, 256, count, data);
    case DType::kInt8:
      return fill_integers<int8_t>(random, -127, 255, count, data);
    case DType::kInt32:
      return fill_integers<int32_t>(random, -1024, 2048, count, data);
    case DType::kFloat32:
      break;
  }
  float low = -1.0F;
  float width = 2.0F;
  if (spec.role == Role::kConstant && spec.shape.size() < 2) {
    low = 0.5F;
    width = 1.0F;
  } else if (spec.role == Role::kConstant) {
    const int64_t fan_in = product(spec.shape, 1, spec.shape.size());
    low = -std::sqrt(3.0F / static_cast<float>(fan_in));  // uniform in [-a, a) has variance a^2 / 3
    width = -2.0F * low;
  }
  std::generate_n(static_cast<float*>(data), count, [&] { return low + width * random.uniform(); });
}

}  // namespace lutra::cpu
