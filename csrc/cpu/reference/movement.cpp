#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "cpu/reference/reference.hpp"

namespace lutra::cpu::reference {

void reduce(const Shape& shape, const std::vector<int64_t>& axes, Reduction reduction, float scale,
            const float* x, float* y) {
  Shape kept = shape;
  for (const int64_t axis : axes) kept[static_cast<size_t>(axis)] = 1;
  const bool max = reduction == Reduction::kMax;
  std::vector<double> result(static_cast<size_t>(elements(kept)), max ? -INFINITY : 0.0);
  Index at(shape);
  do {
    std::vector<int64_t> to = at.at();
    for (const int64_t axis : axes) to[static_cast<size_t>(axis)] = 0;
    double& value = result[static_cast<size_t>(flat(kept, to))];
    value = max ? std::max<double>(value, *x) : value + *x;
    ++x;
  } while (at.next());
  for (const double value : result) *y++ = static_cast<float>(value * scale);
}

void expand(const Shape& from, const Shape& to, const float* x, float* y) {
  Index at(to);
  do {
    std::vector<int64_t> own(at.at().end() - static_cast<std::ptrdiff_t>(from.size()), at.at().end());
    for (size_t i = 0; i < from.size(); ++i)
      if (from[i] == 1) own[i] = 0;
    *y++ = x[flat(from, own)];
  } while (at.next());
}

void concat(int64_t outer, const std::vector<int64_t>& parts, const std::vector<const void*>& x, float* y) {
  for (int64_t row = 0; row < outer; ++row)
    for (size_t i = 0; i < parts.size(); ++i)
      for (int64_t j = 0; j < parts[i]; ++j) *y++ = static_cast<const float*>(x[i])[row * parts[i] + j];
}

void split(int64_t outer, const std::vector<int64_t>& parts, const float* x, const std::vector<void*>& y) {
  for (int64_t row = 0; row < outer; ++row)
    for (size_t i = 0; i < parts.size(); ++i)
      for (int64_t j = 0; j < parts[i]; ++j) static_cast<float*>(y[i])[row * parts[i] + j] = *x++;
}

void slice(const SliceShape& shape, const float* x, float* y) {
  for (int64_t row = 0; row < shape.outer; ++row)
    for (int64_t i = 0; i < shape.count; ++i)
      for (int64_t j = 0; j < shape.inner; ++j)
        *y++ = x[(row * shape.length + shape.start + i * shape.step) * shape.inner + j];
}

void pad(const PadShape& shape, const float* x, float* y) {
  std::fill_n(y, elements(shape.out), shape.value);
  Index at(shape.in);
  do {
    std::vector<int64_t> to = at.at();
    for (size_t dim = 0; dim < to.size(); ++dim) to[dim] += shape.before[dim];
    y[flat(shape.out, to)] = *x++;
  } while (at.next());
}

void channel_shuffle(int64_t batch, int64_t channels, int64_t inner, int64_t groups, const float* x,
                     float* y) {
  const int64_t per_group = channels / groups;
  for (int64_t image = 0; image < batch; ++image)
    for (int64_t channel = 0; channel < channels; ++channel)
      for (int64_t i = 0; i < inner; ++i) {
        const int64_t from = channel % groups * per_group + channel / groups;
        y[(image * channels + channel) * inner + i] = x[(image * channels + from) * inner + i];
      }
}

void transpose(const Shape& shape, const std::vector<int64_t>& order, const float* x, float* y) {
  Shape out;
  for (const int64_t from : order) out.push_back(shape[static_cast<size_t>(from)]);
  Index at(out);
  do {
    std::vector<int64_t> from(shape.size());
    for (size_t dim = 0; dim < order.size(); ++dim) from[static_cast<size_t>(order[dim])] = at[dim];
    *y++ = x[flat(shape, from)];
  } while (at.next());
}

void embedding(const int64_t* ids, int64_t count, const float* table, int64_t vocabulary, int64_t width,
               float* y) {
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < width; ++j) {
      if (ids[i] < 0 || ids[i] >= vocabulary)
        throw std::invalid_argument("embedding: an id is not in the table");
      y[i * width + j] = table[ids[i] * width + j];
    }
}

void resize(const ResizeShape& shape, const float* x, float* y) {
  const std::vector<Tap> rows = resize_taps(shape.mode, shape.in_h, shape.out_h);
  const std::vector<Tap> columns = resize_taps(shape.mode, shape.in_w, shape.out_w);
  for (int64_t plane = 0; plane < shape.planes; ++plane, x += shape.in_h * shape.in_w)
    for (const Tap& row : rows)
      for (const Tap& column : columns) {
        const auto between = [&](int64_t h) {
          const double low = x[h * shape.in_w + column.low];
          return low + (x[h * shape.in_w + column.high] - low) * column.fraction;
        };
        const double top = between(row.low);
        *y++ = static_cast<float>(top + (between(row.high) - top) * row.fraction);
      }
}

}  // namespace lutra::cpu::reference
