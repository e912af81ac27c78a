#pragma once

// Random geometry of sliding windows, shared by the tests of convolutions.

#include <algorithm>
#include <string>

#include "compare.hpp"
#include "cpu/kernels/conv2d.hpp"

namespace lutra::check {

inline std::string describe(const cpu::Conv2dShape& s) {
  const cpu::Window2d& w = s.window;
  return "batch, channels, groups " + join({s.batch, s.in_channels, s.out_channels, s.groups}) + "; image " +
         join({w.in_h, w.in_w}) + " -> " + join({w.out_h, w.out_w}) + "; kernel " +
         join({w.kernel_h, w.kernel_w}) + "; stride " + join({w.stride_h, w.stride_w}) + "; pad " +
         join({w.pad_top, w.pad_left}) + "; dilation " + join({w.dilation_h, w.dilation_w});
}

// Padding below and to the right is whatever makes the kernel fit, plus a random amount.
inline int64_t random_output(Random& random, int64_t in, int64_t extent, int64_t stride, int64_t pad) {
  const int64_t after = std::max<int64_t>(0, extent - in - pad) + random.integer(0, 2);
  return (in + pad + after - extent) / stride + 1;
}

inline cpu::Window2d random_window(Random& random, int64_t largest_image) {
  cpu::Window2d w;
  w.in_h = random.integer(1, largest_image);
  w.in_w = random.integer(1, largest_image);
  w.kernel_h = random.coin() ? 3 : random.integer(1, 7);
  w.kernel_w = random.coin() ? w.kernel_h : random.integer(1, 7);
  w.stride_h = random.integer(1, 4);
  w.stride_w = random.coin() ? w.stride_h : random.integer(1, 4);
  w.pad_top = random.integer(0, 3);
  w.pad_left = random.integer(0, 3);
  w.dilation_h = random.coin() ? 1 : random.integer(1, 3);
  w.dilation_w = random.coin() ? 1 : random.integer(1, 3);
  w.out_h = random_output(random, w.in_h, (w.kernel_h - 1) * w.dilation_h + 1, w.stride_h, w.pad_top);
  w.out_w = random_output(random, w.in_w, (w.kernel_w - 1) * w.dilation_w + 1, w.stride_w, w.pad_left);
  return w;
}

/// Windows as networks have them: square, stepping by one or two, nothing dilated.
inline cpu::Window2d common_window(Random& random, int64_t largest_image) {
  cpu::Window2d w = random_window(random, largest_image);
  w.kernel_h = w.kernel_w = 3 + 2 * random.integer(0, 2);
  w.stride_h = w.stride_w = random.integer(1, 2);
  w.dilation_h = w.dilation_w = 1;
  w.out_h = random_output(random, w.in_h, w.kernel_h, w.stride_h, w.pad_top);
  w.out_w = random_output(random, w.in_w, w.kernel_w, w.stride_w, w.pad_left);
  return w;
}

}  // namespace lutra::check
