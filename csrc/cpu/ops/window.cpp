#include "cpu/ops/window.hpp"

#include <algorithm>
#include <string>

namespace lutra::cpu {

void expect_at_least(const Step& step, const std::vector<int64_t>& values, int64_t least, const char* name) {
  for (const int64_t value : values)
    step.expect(value >= least, std::string("attribute '") + name + "' must be at least " +
                                    std::to_string(least) + ", not " + std::to_string(value));
}

void expect_stageable(const Step& step, const Window2d& window, int64_t planes) {
  const int64_t rows =
      (window.out_h - 1) * window.stride_h + kernel_extent(window.kernel_h, window.dilation_h);
  const int64_t columns =
      (window.out_w - 1) * window.stride_w + kernel_extent(window.kernel_w, window.dilation_w);
  // Rows are stored in multiples of the stride.
  const Shape padded{planes, rows, std::max(columns, window.stride_w) + window.stride_w};
  try {
    checked_bytes(padded, DType::kFloat32, "the padded input");
  } catch (const std::exception& error) {
    step.fail(error.what());
  }
}

}  // namespace lutra::cpu
