#include "cpu/ops/batch.hpp"

#include <string>

namespace lutra::cpu {

namespace {

// Offsets are listed one by one; no network multiplies more small matrices than this in one step.
constexpr int64_t kMostMatrices = int64_t{1} << 20;

}  // namespace

Shape leading(const Shape& shape) { return {shape.begin(), shape.end() - 2}; }

std::vector<int64_t> batch_offsets(const Step& step, const Shape& batch, const Shape& own, int64_t size) {
  step.expect(elements(batch) <= kMostMatrices,
              "works on more than " + std::to_string(kMostMatrices) + " matrices");
  std::vector<int64_t> offsets;
  for (int64_t i = 0; i < elements(batch); ++i) {
    int64_t rest = i;
    int64_t position = 0;
    int64_t stride = 1;
    for (size_t back = 1; back <= own.size(); ++back) {
      const int64_t dim = own[own.size() - back];
      const int64_t at = rest % batch[batch.size() - back];
      rest /= batch[batch.size() - back];
      position += (dim == 1 ? 0 : at) * stride;
      stride *= dim;
    }
    offsets.push_back(position * size);
  }
  return offsets;
}

}  // namespace lutra::cpu
