#include "gpu/launches.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <stdexcept>
#include <string>

namespace lutra::gpu {
namespace {

constexpr std::int64_t kThreads = 256;
constexpr std::int64_t kBlocksPerMultiprocessor = 8;
constexpr std::size_t kMostAxes = 6;
constexpr std::int64_t kLongRow = 1024;  // longer rows get a block, shorter ones a warp

constexpr std::array<std::string_view, 17> kUnaries = {
    "identity",  "relu", "relu6", "leaky_relu", "hard_sigmoid", "hard_swish", "sigmoid", "silu", "gelu",
    "gelu_tanh", "tanh", "exp",   "sqrt",       "erf",          "neg",        "abs",     "clip"};
constexpr std::array<std::string_view, 5> kBinaries = {"add", "sub", "mul", "div", "pow"};

template <typename Kind, std::size_t N>
Kind named(const std::array<std::string_view, N>& names, std::string_view name) {
  const auto* found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) throw std::invalid_argument("no function '" + std::string(name) + "' on a GPU");
  return static_cast<Kind>(found - names.begin());
}

/// Kernels count in 32 bits.
unsigned counted(std::int64_t count) {
  if (count < 0 || count > std::numeric_limits<std::int32_t>::max())
    throw std::invalid_argument("a tensor with over 2^31 elements on a GPU");
  return static_cast<unsigned>(count);
}

std::int64_t divided(std::int64_t count, std::int64_t by) { return (count + by - 1) / by; }

std::int64_t volume(const std::vector<Axis>& axes) {
  std::int64_t count = 1;
  for (const Axis& axis : axes) count *= axis.size;
  return count;
}

Axes packed(const std::vector<Axis>& axes) {
  if (axes.size() > kMostAxes) throw std::invalid_argument("a tensor with too many axes on a GPU");
  Axes result{};
  std::fill(std::begin(result.size), std::end(result.size), 1U);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const std::size_t at = kMostAxes - axes.size() + i;
    result.size[at] = counted(axes[i].size);
    result.first[at] = axes[i].first;
    result.second[at] = axes[i].second;
  }
  return result;
}

/// Threads of a row and rows of a block.
Gpu::Grid row_threads(std::int64_t length) {
  return length > kLongRow ? Gpu::Grid{256, 1} : Gpu::Grid{32, 8};
}

}  // namespace

Unary unary_named(std::string_view name) { return named<Unary>(kUnaries, name); }
Binary binary_named(std::string_view name) { return named<Binary>(kBinaries, name); }

std::vector<Axis> merged(const std::vector<Axis>& axes) {
  std::vector<Axis> result;
  for (const Axis& axis : axes) {
    if (axis.size == 1) continue;
    if (!result.empty() && result.back().first == axis.first * axis.size &&
        result.back().second == axis.second * axis.size)
      result.back() = {result.back().size * axis.size, axis.first, axis.second};
    else
      result.push_back(axis);
  }
  return result;
}

Gpu::Grid Launches::blocks(std::int64_t threads) const {
  const std::int64_t most = std::int64_t{gpu_.info().multiprocessors} * kBlocksPerMultiprocessor;
  return {static_cast<unsigned>(
      std::clamp(divided(threads, kThreads), std::int64_t{1}, std::max<std::int64_t>(most, 1)))};
}

std::int64_t Launches::packs(std::int64_t count) const {
  return divided(count, 16 / static_cast<std::int64_t>(element_bytes(element_)));
}

void Launches::unary(cuda::Pointer x, cuda::Pointer y, std::int64_t count, const Function& function) const {
  gpu_.launch(kernel("unary"), blocks(packs(count)), {kThreads}, x, y, counted(count),
              static_cast<int>(function.kind), function.a, function.b);
}

void Launches::binary(cuda::Pointer a, cuda::Pointer b, cuda::Pointer y, std::int64_t count,
                      Binary function) const {
  gpu_.launch(kernel("binary"), blocks(packs(count)), {kThreads}, a, b, y, counted(count),
              static_cast<int>(function));
}

void Launches::binary(cuda::Pointer a, cuda::Pointer b, cuda::Pointer y, const std::vector<Axis>& axes,
                      Binary function) const {
  const std::int64_t count = volume(axes);
  gpu_.launch(kernel("binary_broadcast"), blocks(count), {kThreads}, a, b, y, counted(count),
              static_cast<int>(function), packed(merged(axes)));
}

void Launches::epilogue(cuda::Pointer x, cuda::Pointer y, cuda::Pointer bias, cuda::Pointer residual,
                        std::int64_t count, std::int64_t channels, std::int64_t inner,
                        const Function& function) const {
  gpu_.launch(kernel("epilogue"), blocks(packs(count)), {kThreads}, x, y, bias, residual, counted(count),
              counted(channels), counted(inner), static_cast<int>(function.kind), function.a, function.b);
}

void Launches::convert(cuda::Pointer x, cuda::Pointer y, std::int64_t count, Element to) const {
  const char* const name = to == element_           ? "dequantise"
                           : to == Element::kFloat8 ? "quantise_float8"
                                                    : "quantise";
  gpu_.launch(kernel(name), blocks(count), {kThreads}, x, y, counted(count));
}

void Launches::requantise(cuda::Pointer sums, cuda::Pointer y, cuda::Pointer bias, cuda::Pointer residual,
                          std::int64_t count, std::int64_t channels, float factor,
                          const Function& function) const {
  gpu_.launch(kernel("requantise"), blocks(count), {kThreads}, sums, y, bias, residual, counted(count),
              counted(channels), factor, static_cast<int>(function.kind), function.a, function.b);
}

void Launches::batch_norm(cuda::Pointer x, cuda::Pointer y, cuda::Pointer gamma, cuda::Pointer beta,
                          cuda::Pointer mean, cuda::Pointer variance, std::int64_t count,
                          std::int64_t channels, std::int64_t inner, float eps) const {
  gpu_.launch(kernel("batch_norm"), blocks(count), {kThreads}, x, y, gamma, beta, mean, variance,
              counted(count), counted(channels), counted(inner), eps);
}

void Launches::copy(cuda::Pointer x, cuda::Pointer y, std::vector<Axis> axes) const {
  std::stable_sort(axes.begin(), axes.end(),
                   [](const Axis& a, const Axis& b) { return a.second > b.second; });
  axes = merged(axes);
  // A dense matrix, or several, turned over: through tiles, so that reads and writes are both in rows.
  const std::size_t rank = axes.size();
  if (rank == 2 || rank == 3) {
    const Axis& slow = axes[rank - 2];
    const Axis& fast = axes[rank - 1];
    const bool dense =
        slow.first == 1 && fast.second == 1 && fast.first == slow.size && slow.second == fast.size;
    const std::int64_t area = slow.size * fast.size;
    const bool stacked = rank == 2 || (axes[0].first == area && axes[0].second == area);
    if (dense && stacked) return tiles(x, y, rank == 3 ? axes[0].size : 1, fast.size, slow.size);
  }
  const std::int64_t count = volume(axes);
  gpu_.launch(kernel("copy_strided"), blocks(count), {kThreads}, x, y, counted(count), packed(axes));
}

void Launches::tiles(cuda::Pointer x, cuda::Pointer y, std::int64_t batch, std::int64_t rows,
                     std::int64_t columns) const {
  const Gpu::Grid grid{counted(divided(columns, 32)), counted(divided(rows, 32)), counted(batch)};
  gpu_.launch(kernel("transpose_tiles"), grid, {32, 8}, x, y, counted(rows), counted(columns));
}

void Launches::fill(cuda::Pointer y, std::int64_t count, float value) const {
  gpu_.launch(kernel("fill"), blocks(count), {kThreads}, y, counted(count), value);
}

void Launches::embedding(cuda::Pointer index, cuda::Pointer table, cuda::Pointer y, std::int64_t rows,
                         std::int64_t length) const {
  gpu_.launch(kernel("embedding"), blocks(rows * length), {kThreads}, index, table, y, counted(rows * length),
              counted(length));
}

void Launches::upsample(cuda::Pointer x, cuda::Pointer y, const Window& window, bool bilinear) const {
  const std::int64_t count =
      std::int64_t{window.batch} * window.channels * window.out_height * window.out_width;
  counted(count);
  gpu_.launch(kernel("upsample"), blocks(count), {kThreads}, x, y, window.batch, window.channels,
              window.height, window.width, window.out_height, window.out_width, static_cast<int>(bilinear),
              window.channels_last);
}

void Launches::pool(cuda::Pointer x, cuda::Pointer y, const Window& window, Pooling pooling) const {
  const std::int64_t count =
      std::int64_t{window.batch} * window.out_channels * window.out_height * window.out_width;
  gpu_.launch(kernel("pool"), blocks(count), {kThreads}, x, y, counted(count), window,
              static_cast<int>(pooling));
}

void Launches::depthwise(cuda::Pointer x, cuda::Pointer filters, cuda::Pointer bias, cuda::Pointer residual,
                         cuda::Pointer y, const Window& window, const Function& function) const {
  const std::int64_t count =
      std::int64_t{window.batch} * window.out_channels * window.out_height * window.out_width;
  gpu_.launch(kernel("depthwise"), blocks(count), {kThreads}, x, filters, bias, residual, y, counted(count),
              window, static_cast<int>(function.kind), function.a, function.b);
}

void Launches::softmax(cuda::Pointer x, cuda::Pointer y, cuda::Pointer mask, std::int64_t rows,
                       std::int64_t length, std::int64_t inner, const Attention& attention) const {
  const Gpu::Grid threads = row_threads(length);
  gpu_.launch(kernel("softmax"), {counted(divided(rows, threads.y))}, threads, x, y, mask, counted(rows),
              counted(length), counted(inner), attention);
}

void Launches::norm(cuda::Pointer x, cuda::Pointer y, cuda::Pointer gamma, cuda::Pointer beta,
                    std::int64_t rows, std::int64_t length, std::int64_t groups, std::int64_t inner,
                    float eps, bool root_mean_square) const {
  const Gpu::Grid threads = row_threads(length);
  gpu_.launch(kernel("norm"), {counted(divided(rows, threads.y))}, threads, x, y, gamma, beta, counted(rows),
              counted(length), counted(groups), counted(inner), eps, static_cast<int>(root_mean_square));
}

void Launches::reduce(cuda::Pointer x, cuda::Pointer y, std::int64_t outer, std::int64_t length,
                      std::int64_t inner, Reduction reduction, float factor) const {
  if (inner > 1) {
    if (outer > 65535) throw std::invalid_argument("a reduction with too many rows on a GPU");
    gpu_.launch(kernel("reduce_strided"), {counted(divided(inner, 32)), counted(outer)}, {32, 8}, x, y,
                counted(outer), counted(length), counted(inner), static_cast<int>(reduction), factor);
    return;
  }
  const Gpu::Grid threads = row_threads(length);
  gpu_.launch(kernel("reduce_rows"), {counted(divided(outer, threads.y))}, threads, x, y, counted(outer),
              counted(length), static_cast<int>(reduction), factor);
}

}  // namespace lutra::gpu
