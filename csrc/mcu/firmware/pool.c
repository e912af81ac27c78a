// Average, maximum and global pooling. Input and output have one quantisation; taps outside do not count.
#include "widen.h"

// The part of the window of an output pixel that lies inside the input.
struct window {
  int32_t top, bottom, left, right;
};

INLINE struct window window_at(const struct lutra_op* op, int32_t y, int32_t x) {
  const int32_t top = y * op->stride_h - op->pad_top, left = x * op->stride_w - op->pad_left;
  const int32_t bottom = top + op->kernel_h, right = left + op->kernel_w;
  return (struct window){top < 0 ? 0 : top, bottom > op->in_h ? op->in_h : bottom, left < 0 ? 0 : left,
                         right > op->in_w ? op->in_w : right};
}

INLINE int32_t rounded_mean(int32_t sum, int32_t count) {
  return sum > 0 ? (sum + count / 2) / count : (sum - count / 2) / count;
}

// Four channels at a time: one load takes them all.
INLINE void average_window(const struct lutra_op* op, struct window w, int8_t* pixel) {
  const int32_t channels = op->in_c, row_bytes = op->in_w * channels;
  const int32_t count = (w.bottom - w.top) * (w.right - w.left);
  int32_t c = 0;
  for (; c + 3 < channels; c += 4) {
    int32_t s0 = 0, s1 = 0, s2 = 0, s3 = 0;
    for (int32_t row = w.top; row < w.bottom; ++row) {
      const int8_t* tap = op->input + row * row_bytes + w.left * channels + c;
      for (int32_t col = w.left; col < w.right; ++col) {
        const uint32_t bytes = load_word(tap);
        s0 += (int8_t)bytes;
        s1 += (int8_t)(bytes >> 8);
        s2 += (int8_t)(bytes >> 16);
        s3 += (int8_t)(bytes >> 24);
        tap += channels;
      }
    }
    pixel[c] = (int8_t)clamp(rounded_mean(s0, count), op->activation_min, op->activation_max);
    pixel[c + 1] = (int8_t)clamp(rounded_mean(s1, count), op->activation_min, op->activation_max);
    pixel[c + 2] = (int8_t)clamp(rounded_mean(s2, count), op->activation_min, op->activation_max);
    pixel[c + 3] = (int8_t)clamp(rounded_mean(s3, count), op->activation_min, op->activation_max);
  }
  for (; c < channels; ++c) {
    int32_t sum = 0;
    for (int32_t row = w.top; row < w.bottom; ++row)
      for (int32_t col = w.left; col < w.right; ++col) sum += op->input[row * row_bytes + col * channels + c];
    pixel[c] = (int8_t)clamp(rounded_mean(sum, count), op->activation_min, op->activation_max);
  }
}

KERNEL(avg_pool) {
  int8_t* pixel = op->output;
  for (int32_t y = 0; y < op->out_h; ++y) {
    for (int32_t x = 0; x < op->out_w; ++x, pixel += op->in_c) average_window(op, window_at(op, y, x), pixel);
  }
  return 0;
}

KERNEL(global_pool) {
  average_window(op, (struct window){0, op->in_h, 0, op->in_w}, op->output);
  return 0;
}

// target = max(target, source)
INLINE void keep_larger(int8_t* target, const int8_t* source, int32_t count) {
#if LUTRA_DSP
  for (int32_t quads = count >> 2; quads > 0; --quads) {
    const uint32_t kept = load_word(target), other = load_word(source);
    __ssub8(kept, other);  // sets the flags that SEL reads
    store_word(target, (uint32_t)__sel(kept, other));
    target += 4, source += 4;
  }
  count &= 3;
#endif
  for (; count > 0; --count, ++target, ++source)
    if (*source > *target) *target = *source;
}

KERNEL(max_pool) {
  const int32_t channels = op->in_c, row_bytes = op->in_w * channels;
  int8_t* pixel = op->output;
  for (int32_t y = 0; y < op->out_h; ++y) {
    for (int32_t x = 0; x < op->out_w; ++x, pixel += channels) {
      const struct window w = window_at(op, y, x);
      __builtin_memset(pixel, op->activation_min, (uint32_t)channels);
      for (int32_t row = w.top; row < w.bottom; ++row)
        for (int32_t col = w.left; col < w.right; ++col)
          keep_larger(pixel, op->input + row * row_bytes + col * channels, channels);
      if (op->activation_max < 127)
        for (int32_t c = 0; c < channels; ++c)
          if (pixel[c] > op->activation_max) pixel[c] = (int8_t)op->activation_max;
    }
  }
  return 0;
}
