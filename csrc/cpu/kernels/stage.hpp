#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels/table.hpp"
#include "cpu/kernels/window2d.hpp"

namespace lutra::cpu {

/// Copies image planes into a padded form in which, for every tap of the window, the inputs of neighbouring
/// outputs lie side by side: columns are sorted by their remainder modulo the stride. Kernels then need
/// neither bounds checks nor strided loads.
class Stage {
 public:
  explicit Stage(const Window2d& window);

  int64_t plane_floats() const { return rows_ * row_floats_; }
  /// Distance between the inputs of vertically neighbouring outputs.
  int64_t output_row_stride() const { return window_.stride_h * row_floats_; }
  /// Distance between the inputs of vertically neighbouring taps.
  int64_t kernel_row_stride() const { return window_.dilation_h * row_floats_; }
  /// Where each tap (row by row) finds the input of the first output.
  const std::vector<int64_t>& tap_offsets() const { return tap_offsets_; }

  /// The outputs of one channel over a plane that was copied to `staged`: where everything is, but not what
  /// is computed.
  WindowRows rows(const float* staged) const;

  /// Copies one plane; the padding of `staged` is left as it is.
  void copy(const KernelTable& kernels, const float* plane, float* staged) const;

 private:
  struct Rows {  // neighbouring rows that some output reads, in padded coordinates
    int64_t first;
    int64_t count;
  };
  std::vector<Rows> rows_read() const;
  void copy_scattered(const RowCopy& copy) const;

  Window2d window_;
  int64_t rows_;
  int64_t columns_;
  int64_t phase_floats_;  ///< columns with the same remainder
  int64_t row_floats_;
  std::vector<int64_t> tap_offsets_;
  std::vector<Rows> rows_read_;
};

}  // namespace lutra::cpu
