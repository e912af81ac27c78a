// Depthwise convolution in NHWC, one filter a channel, weights [kernel_h, kernel_w, channels]. Four channels
// at a time, since one load takes them. 3x3 reads the input where it lies; larger kernels gather the patch
// first.
#include "widen.h"

struct four {
  int32_t sums[4];
};

INLINE struct four biases_of(const struct lutra_op* op, int32_t c) {
  return (struct four){{op->bias[c], op->bias[c + 1], op->bias[c + 2], op->bias[c + 3]}};
}

INLINE void finish_four(const struct lutra_op* op, const struct four* four, int32_t c, int8_t* pixel) {
  pixel[c] = finish(op, four->sums[0], c);
  pixel[c + 1] = finish(op, four->sums[1], c + 1);
  pixel[c + 2] = finish(op, four->sums[2], c + 2);
  pixel[c + 3] = finish(op, four->sums[3], c + 3);
}

// One tap of four channels: each byte is widened where it is multiplied.
INLINE void accumulate_tap(struct four* four, const int8_t* input, const int8_t* weights, int32_t offset) {
  const uint32_t bytes = load_word(input), filters = load_word(weights);
  four->sums[0] += ((int8_t)bytes + offset) * (int8_t)filters;
  four->sums[1] += ((int8_t)(bytes >> 8) + offset) * (int8_t)(filters >> 8);
  four->sums[2] += ((int8_t)(bytes >> 16) + offset) * (int8_t)(filters >> 16);
  four->sums[3] += ((int8_t)(bytes >> 24) + offset) * (int8_t)(filters >> 24);
}

struct span {
  int32_t first, end;
};

// The taps that fall inside the input.
INLINE struct span inside(int32_t start, int32_t kernel, int32_t size) {
  const int32_t first = start < 0 ? -start : 0;
  return (struct span){first, start + kernel > size ? size - start : kernel};
}

INLINE void pixel_3x3(const struct lutra_op* op, int32_t top, int32_t left, int8_t* pixel) {
  const int32_t channels = op->in_c, row_bytes = op->in_w * channels, offset = op->input_offset;
  const struct span rows = inside(top, 3, op->in_h), cols = inside(left, 3, op->in_w);
  const int8_t* const corner = op->input + (top + rows.first) * row_bytes + (left + cols.first) * channels;
  const int8_t* const weights = (const int8_t*)op->weights + (rows.first * 3 + cols.first) * channels;
  int32_t c = 0;
  for (; c + 3 < channels; c += 4) {
    struct four four = biases_of(op, c);
    const int8_t *input_row = corner + c, *weight_row = weights + c;
    for (int32_t row = rows.first; row < rows.end; ++row) {
      const int8_t *input = input_row, *weight = weight_row;
      for (int32_t col = cols.first; col < cols.end; ++col) {
        accumulate_tap(&four, input, weight, offset);
        input += channels;
        weight += channels;
      }
      input_row += row_bytes;
      weight_row += 3 * channels;
    }
    finish_four(op, &four, c, pixel);
  }
  for (; c < channels; ++c) {
    int32_t sum = op->bias[c];
    for (int32_t row = 0; row < rows.end - rows.first; ++row)
      for (int32_t col = 0; col < cols.end - cols.first; ++col)
        sum +=
            (corner[row * row_bytes + col * channels + c] + offset) * weights[(row * 3 + col) * channels + c];
    pixel[c] = finish(op, sum, c);
  }
}

// The patch as int16, tap by tap; outside is zero.
INLINE void gather_patch(const struct lutra_op* op, int32_t top, int32_t left, int16_t* patch) {
  const int32_t channels = op->in_c;
  for (int32_t row = top; row < top + op->kernel_h; ++row) {
    for (int32_t col = left; col < left + op->kernel_w; ++col) {
      if (row < 0 || row >= op->in_h || col < 0 || col >= op->in_w) {
        clear(patch, channels);
      } else {
        widen(op->input + (row * op->in_w + col) * channels, patch, channels, op->input_offset);
      }
      patch += channels;
    }
  }
}

// Four channels of a gathered patch: with DSP two taps at a time, so that one SMLAD makes two products.
INLINE struct four dot_patch(const int16_t* patch, const int8_t* weights, int32_t taps, int32_t channels,
                             struct four four) {
#if LUTRA_DSP
  for (int32_t pairs = taps >> 1; pairs > 0; --pairs) {
    const uint32_t filters0 = load_word(weights), filters1 = load_word(weights + channels);
    const uint32_t even0 = even_bytes(filters0), odd0 = odd_bytes(filters0);
    const uint32_t even1 = even_bytes(filters1), odd1 = odd_bytes(filters1);
    const uint32_t low0 = load_word(patch), high0 = load_word(patch + 2);
    const uint32_t low1 = load_word(patch + channels), high1 = load_word(patch + channels + 2);
    four.sums[0] = __smlad(bottoms(even0, even1), bottoms(low0, low1), four.sums[0]);
    four.sums[1] = __smlad(bottoms(odd0, odd1), tops(low0, low1), four.sums[1]);
    four.sums[2] = __smlad(tops(even0, even1), bottoms(high0, high1), four.sums[2]);
    four.sums[3] = __smlad(tops(odd0, odd1), tops(high0, high1), four.sums[3]);
    weights += 2 * channels;
    patch += 2 * channels;
  }
  taps &= 1;
#endif
  for (; taps > 0; --taps, weights += channels, patch += channels)
    for (int32_t i = 0; i < 4; ++i) four.sums[i] += patch[i] * weights[i];
  return four;
}

INLINE void pixel_of_patch(const struct lutra_op* op, const int16_t* patch, int8_t* pixel) {
  const int32_t channels = op->in_c, taps = op->kernel_h * op->kernel_w;
  const int8_t* weights = op->weights;
  int32_t c = 0;
  for (; c + 3 < channels; c += 4) {
    const struct four four = dot_patch(patch + c, weights + c, taps, channels, biases_of(op, c));
    finish_four(op, &four, c, pixel);
  }
  for (; c < channels; ++c) {
    int32_t sum = op->bias[c];
    for (int32_t tap = 0; tap < taps; ++tap) sum += patch[tap * channels + c] * weights[tap * channels + c];
    pixel[c] = finish(op, sum, c);
  }
}

KERNEL(depthwise) {
  const int is_3x3 = op->kernel_h == 3 && op->kernel_w == 3;
  int8_t* pixel = op->output;
  for (int32_t y = 0; y < op->out_h; ++y) {
    const int32_t top = y * op->stride_h - op->pad_top;
    for (int32_t x = 0; x < op->out_w; ++x, pixel += op->out_c) {
      const int32_t left = x * op->stride_w - op->pad_left;
      if (is_3x3) {
        pixel_3x3(op, top, left, pixel);
      } else {
        gather_patch(op, top, left, op->scratch);
        pixel_of_patch(op, op->scratch, pixel);
      }
    }
  }
  return 0;
}
