#pragma once

#include <cstdint>
#include <vector>

#include "gpu/functions.hpp"
#include "gpu/gpu.hpp"

// Our kernels with grids that fit their work.

namespace lutra::gpu {

/// One axis of a loop over two tensors: how many steps, and how far apart the elements of each lie.
struct Axis {
  std::int64_t size;
  std::int64_t first;
  std::int64_t second;
};

/// Our kernels for one element type on one GPU.
class Launches {
 public:
  Launches(const Gpu& gpu, Element element) : gpu_(gpu), element_(element) {}

  void unary(cuda::Pointer x, cuda::Pointer y, std::int64_t count, const Function& function) const;
  void binary(cuda::Pointer a, cuda::Pointer b, cuda::Pointer y, std::int64_t count, Binary function) const;
  /// `axes` from the slowest to the fastest of y, with the strides of a and b.
  void binary(cuda::Pointer a, cuda::Pointer b, cuda::Pointer y, const std::vector<Axis>& axes,
              Binary function) const;
  /// Bias and residual may be 0.
  void epilogue(cuda::Pointer x, cuda::Pointer y, cuda::Pointer bias, cuda::Pointer residual,
                std::int64_t count, std::int64_t channels, std::int64_t inner,
                const Function& function) const;
  /// Into int8 or float8, or out of int8 into our own element type.
  void convert(cuda::Pointer x, cuda::Pointer y, std::int64_t count, Element to) const;
  /// What follows a product in int8: y = function(factor * sums + bias + residual).
  void requantise(cuda::Pointer sums, cuda::Pointer y, cuda::Pointer bias, cuda::Pointer residual,
                  std::int64_t count, std::int64_t channels, float factor, const Function& function) const;
  void batch_norm(cuda::Pointer x, cuda::Pointer y, cuda::Pointer gamma, cuda::Pointer beta,
                  cuda::Pointer mean, cuda::Pointer variance, std::int64_t count, std::int64_t channels,
                  std::int64_t inner, float eps) const;
  /// `axes` with the strides of x and y, in any order: those of y decide.
  void copy(cuda::Pointer x, cuda::Pointer y, std::vector<Axis> axes) const;
  void fill(cuda::Pointer y, std::int64_t count, float value) const;
  void embedding(cuda::Pointer index, cuda::Pointer table, cuda::Pointer y, std::int64_t rows,
                 std::int64_t length) const;
  void upsample(cuda::Pointer x, cuda::Pointer y, const Window& window, bool bilinear) const;
  void pool(cuda::Pointer x, cuda::Pointer y, const Window& window, Pooling pooling) const;
  void depthwise(cuda::Pointer x, cuda::Pointer filters, cuda::Pointer bias, cuda::Pointer residual,
                 cuda::Pointer y, const Window& window, const Function& function) const;
  void softmax(cuda::Pointer x, cuda::Pointer y, cuda::Pointer mask, std::int64_t rows, std::int64_t length,
               std::int64_t inner, const Attention& attention) const;
  void norm(cuda::Pointer x, cuda::Pointer y, cuda::Pointer gamma, cuda::Pointer beta, std::int64_t rows,
            std::int64_t length, std::int64_t groups, std::int64_t inner, float eps,
            bool root_mean_square) const;
  void reduce(cuda::Pointer x, cuda::Pointer y, std::int64_t outer, std::int64_t length, std::int64_t inner,
              Reduction reduction, float factor) const;

 private:
  [[nodiscard]] cuda::Function kernel(const char* name) const { return gpu_.kernel(element_, name); }
  [[nodiscard]] Gpu::Grid blocks(std::int64_t threads) const;
  [[nodiscard]] std::int64_t packs(std::int64_t count) const;
  void tiles(cuda::Pointer x, cuda::Pointer y, std::int64_t batch, std::int64_t rows,
             std::int64_t columns) const;

  const Gpu& gpu_;
  Element element_;
};

/// The same loop with as few axes as possible: those of size 1 are left out, neighbours that can be are
/// joined.
std::vector<Axis> merged(const std::vector<Axis>& axes);

}  // namespace lutra::gpu
