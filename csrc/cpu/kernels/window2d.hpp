#pragma once

#include <cstdint>

namespace lutra::cpu {

/// A window sliding over images: input in_h x in_w, output out_h x out_w. Padding below and to the right is
/// whatever the output needs.
struct Window2d {
  int64_t in_h = 1, in_w = 1;
  int64_t kernel_h = 1, kernel_w = 1;
  int64_t stride_h = 1, stride_w = 1;
  int64_t pad_top = 0, pad_left = 0;
  int64_t dilation_h = 1, dilation_w = 1;
  int64_t out_h = 1, out_w = 1;

  int64_t taps() const { return kernel_h * kernel_w; }
  int64_t in_size() const { return in_h * in_w; }
  int64_t out_size() const { return out_h * out_w; }
};

}  // namespace lutra::cpu
