#include "cpu/kernels/stage.hpp"

#include <algorithm>

namespace lutra::cpu {

Stage::Stage(const Window2d& window)
    : window_(window),
      rows_((window.out_h - 1) * window.stride_h + (window.kernel_h - 1) * window.dilation_h + 1),
      columns_((window.out_w - 1) * window.stride_w + (window.kernel_w - 1) * window.dilation_w + 1),
      phase_floats_((columns_ + window.stride_w - 1) / window.stride_w),
      row_floats_(phase_floats_ * window.stride_w),
      rows_read_(rows_read()) {
  for (int64_t kh = 0; kh < window.kernel_h; ++kh)
    for (int64_t kw = 0; kw < window.kernel_w; ++kw) {
      const int64_t column = kw * window.dilation_w;
      tap_offsets_.push_back(kh * window.dilation_h * row_floats_ + column % window.stride_w * phase_floats_ +
                             column / window.stride_w);
    }
}

std::vector<Stage::Rows> Stage::rows_read() const {
  std::vector<bool> read(static_cast<size_t>(rows_), false);
  for (int64_t kh = 0; kh < window_.kernel_h; ++kh)
    for (int64_t oh = 0; oh < window_.out_h; ++oh)
      read[static_cast<size_t>(oh * window_.stride_h + kh * window_.dilation_h)] = true;
  std::vector<Rows> runs;
  const int64_t last = std::min(rows_, window_.pad_top + window_.in_h);
  for (int64_t row = window_.pad_top; row < last; ++row) {
    if (!read[static_cast<size_t>(row)]) continue;
    if (!runs.empty() && runs.back().first + runs.back().count == row)
      ++runs.back().count;
    else
      runs.push_back({row, 1});
  }
  return runs;
}

WindowRows Stage::rows(const float* staged) const {
  WindowRows rows;
  rows.source = staged;
  rows.offsets = tap_offsets_.data();
  rows.kernel_h = window_.kernel_h;
  rows.kernel_w = window_.kernel_w;
  rows.row_stride = output_row_stride();
  rows.kernel_stride = kernel_row_stride();
  rows.rows = window_.out_h;
  rows.columns = window_.out_w;
  return rows;
}

void Stage::copy(const KernelTable& kernels, const float* plane, float* staged) const {
  const int64_t left = window_.pad_left;
  RowCopy copy;
  copy.from_stride = window_.in_w;
  copy.to_stride = row_floats_;
  copy.columns = std::min(columns_, left + window_.in_w) - left;
  if (copy.columns <= 0) return;  // the windows see nothing but padding
  for (const Rows& rows : rows_read_) {
    copy.from = plane + (rows.first - window_.pad_top) * window_.in_w;
    copy.to = staged + rows.first * row_floats_;
    copy.rows = rows.count;
    if (window_.stride_w == 1) {
      copy.to += left;
      kernels.copy_rows(copy);
    } else if (window_.stride_w == 2) {
      kernels.split_rows(copy, left, phase_floats_);
    } else {
      copy_scattered(copy);
    }
  }
}

void Stage::copy_scattered(const RowCopy& copy) const {
  const int64_t stride = window_.stride_w;
  for (int64_t row = 0; row < copy.rows; ++row)
    for (int64_t i = 0; i < copy.columns; ++i) {
      const int64_t column = window_.pad_left + i;
      copy.to[row * copy.to_stride + column % stride * phase_floats_ + column / stride] =
          copy.from[row * copy.from_stride + i];
    }
}

}  // namespace lutra::cpu
