// Depthwise convolution a channel at a time, so that the output may lie where the input does: a channel is
// copied into a padded plane of int16, and its output written over it. Weights are [channels, kernel_h,
// kernel_w]. For square kernels of 3, 5 and 7 with equal strides of 1 or 2; each has its own unrolled code.
#include "widen.h"

#define LARGEST_KERNEL 7
// Outputs made at once; they share the loads of the filter.
#define OUTPUTS 4

struct plane {
  int16_t* samples;
  int32_t width, height;  // the width is even, so that every row is word-aligned
};

// What is the same for all outputs of a channel.
struct channel {
  int32_t bias, multiplier, shift;
  const int8_t* filter;
};

// Every row and column that a window reaches, with those that the last group of OUTPUTS reads in vain.
INLINE struct plane plane_of(const struct lutra_op* op) {
  const int32_t columns = (op->out_w + OUTPUTS - 1) / OUTPUTS * OUTPUTS;
  return (struct plane){op->scratch, ((columns - 1) * op->stride_w + op->kernel_w + 2) & ~1,
                        (op->out_h - 1) * op->stride_h + op->kernel_h};
}

INLINE int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

INLINE void copy_channel(const struct lutra_op* op, const struct plane* plane, int32_t c) {
  const int32_t channels = op->in_c, offset = op->input_offset;
  const int32_t rows = smaller(op->in_h, plane->height - op->pad_top);
  const int32_t columns = smaller(op->in_w, plane->width - op->pad_left);
  for (int32_t row = 0; row < rows; ++row) {
    const int8_t* source = op->input + row * op->in_w * channels + c;
    int16_t* target = plane->samples + (row + op->pad_top) * plane->width + op->pad_left;
    for (int32_t left = columns; left > 0; --left, source += channels)
      *target++ = (int16_t)(*source + offset);
  }
}

#if LUTRA_DSP

#define PAIRS(kernel) (((kernel) + 1) / 2)

// The rows of a filter as pairs for SMLAD: for windows that start at an even column as (w0 w1) (w2 0), for
// those at an odd one as (0 w0) (w1 w2). So the plane is always loaded at even columns.
struct pairs {
  uint32_t even[LARGEST_KERNEL * PAIRS(LARGEST_KERNEL)], odd[LARGEST_KERNEL * PAIRS(LARGEST_KERNEL)];
};

INLINE uint32_t pair_of(int32_t first, int32_t second) {
  return ((uint32_t)first & 0xFFFFu) | (uint32_t)second << 16;
}

INLINE void make_pairs(const int8_t* filter, int32_t kernel, struct pairs* pairs) {
  uint32_t *even = pairs->even, *odd = pairs->odd;
  for (int32_t row = 0; row < kernel; ++row, filter += kernel) {
    for (int32_t k = 0; k < kernel; k += 2) {
      *even++ = pair_of(filter[k], k + 1 < kernel ? filter[k + 1] : 0);
      *odd++ = pair_of(k > 0 ? filter[k - 1] : 0, filter[k]);
    }
  }
}

// Adds one row of the windows of OUTPUTS outputs. `row` is the first filter pair of the row.
INLINE void accumulate_row(int32_t sums[OUTPUTS], const int16_t* samples, const struct pairs* pairs,
                           int32_t row, int32_t kernel, int32_t stride) {
  uint32_t words[PAIRS(LARGEST_KERNEL) + OUTPUTS - 1];
  const int32_t count = PAIRS(kernel) + (stride == 1 ? OUTPUTS / 2 : OUTPUTS) - 1;
#pragma unroll
  for (int32_t i = 0; i < count; ++i) words[i] = load_word(samples + 2 * i);
#pragma unroll
  for (int32_t p = 0; p < PAIRS(kernel); ++p) {
    const uint32_t even = pairs->even[row + p];
    if (stride == 1) {
      const uint32_t odd = pairs->odd[row + p];
      sums[0] = __smlad(even, words[p], sums[0]);
      sums[1] = __smlad(odd, words[p], sums[1]);
      sums[2] = __smlad(even, words[p + 1], sums[2]);
      sums[3] = __smlad(odd, words[p + 1], sums[3]);
    } else {
      sums[0] = __smlad(even, words[p], sums[0]);
      sums[1] = __smlad(even, words[p + 1], sums[1]);
      sums[2] = __smlad(even, words[p + 2], sums[2]);
      sums[3] = __smlad(even, words[p + 3], sums[3]);
    }
  }
}

#define ROW_STEP(kernel) PAIRS(kernel)

#else

struct pairs {
  const int8_t* filter;
};

INLINE void make_pairs(const int8_t* filter, int32_t kernel, struct pairs* pairs) {
  (void)kernel;
  pairs->filter = filter;
}

INLINE void accumulate_row(int32_t sums[OUTPUTS], const int16_t* samples, const struct pairs* pairs,
                           int32_t row, int32_t kernel, int32_t stride) {
#pragma unroll
  for (int32_t k = 0; k < kernel; ++k) {
    const int32_t weight = pairs->filter[row + k];
#pragma unroll
    for (int32_t i = 0; i < OUTPUTS; ++i) sums[i] += weight * samples[i * stride + k];
  }
}

#define ROW_STEP(kernel) (kernel)

#endif

INLINE int8_t finish_channel(const struct lutra_op* op, const struct channel* channel, int32_t sum) {
  const int32_t scaled = requantise(sum, channel->multiplier, channel->shift) + op->output_offset;
  return (int8_t)clamp(scaled, op->activation_min, op->activation_max);
}

// One channel; kernel and stride are constants where this is called.
INLINE void convolve_channel(const struct lutra_op* op, const struct plane* plane,
                             const struct channel* channel, int8_t* output, int32_t kernel, int32_t stride) {
  struct pairs pairs;
  make_pairs(channel->filter, kernel, &pairs);
  for (int32_t y = 0; y < op->out_h; ++y) {
    const int16_t* samples = plane->samples + y * stride * plane->width;
    for (int32_t left = op->out_w; left > 0; left -= OUTPUTS, samples += OUTPUTS * stride) {
      int32_t sums[OUTPUTS] = {channel->bias, channel->bias, channel->bias, channel->bias};
      const int16_t* window = samples;
      for (int32_t row = 0; row < kernel; ++row, window += plane->width)
        accumulate_row(sums, window, &pairs, row * ROW_STEP(kernel), kernel, stride);
      const int32_t count = smaller(left, OUTPUTS);
      for (int32_t i = 0; i < count; ++i, output += op->out_c) *output = finish_channel(op, channel, sums[i]);
    }
  }
}

#define CHANNEL_KERNEL(kernel, stride)                                                                       \
  static __attribute__((noinline)) void convolve_##kernel##x##kernel##_stride_##stride(                      \
      const struct lutra_op* op, const struct plane* plane, const struct channel* channel, int8_t* output) { \
    convolve_channel(op, plane, channel, output, kernel, stride);                                            \
  }

CHANNEL_KERNEL(3, 1)
CHANNEL_KERNEL(3, 2)
CHANNEL_KERNEL(5, 1)
CHANNEL_KERNEL(5, 2)
CHANNEL_KERNEL(7, 1)
CHANNEL_KERNEL(7, 2)

typedef void (*channel_kernel)(const struct lutra_op*, const struct plane*, const struct channel*, int8_t*);

INLINE channel_kernel kernel_for(int32_t kernel, int32_t stride) {
  switch (kernel) {
    case 3:
      return stride == 1 ? convolve_3x3_stride_1 : convolve_3x3_stride_2;
    case 5:
      return stride == 1 ? convolve_5x5_stride_1 : convolve_5x5_stride_2;
    default:
      return stride == 1 ? convolve_7x7_stride_1 : convolve_7x7_stride_2;
  }
}

// Returns 1 for a shape that it has no code for.
KERNEL(depthwise_chw) {
  const int32_t kernel = op->kernel_h, stride = op->stride_h;
  if (kernel != op->kernel_w || stride != op->stride_w) return 1;
  if ((kernel != 3 && kernel != 5 && kernel != 7) || stride < 1 || stride > 2) return 1;
  const channel_kernel convolve = kernel_for(kernel, stride);
  const struct plane plane = plane_of(op);
  clear(plane.samples, plane.width * plane.height);
  for (int32_t c = 0; c < op->in_c; ++c) {
    copy_channel(op, &plane, c);
    const struct channel channel = {op->bias[c], op->multiplier[c], op->shift[c],
                                    (const int8_t*)op->weights + c * kernel * kernel};
    convolve(op, &plane, &channel, op->output + c);
  }
  return 0;
}
