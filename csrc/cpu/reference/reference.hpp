#pragma once

#include <cstdint>
#include <vector>

#include "cpu/kernels/attention.hpp"
#include "cpu/kernels/conv2d.hpp"
#include "cpu/kernels/matmul.hpp"
#include "cpu/kernels/movement.hpp"
#include "cpu/kernels/normalise.hpp"
#include "cpu/kernels/pool2d.hpp"
#include "cpu/kernels/quantised_conv2d.hpp"
#include "cpu/kernels/reduce.hpp"
#include "cpu/kernels/reorder.hpp"
#include "cpu/kernels/resize.hpp"
#include "cpu/kernels/softmax.hpp"
#include "cpu/tensor.hpp"

/// The naive twin of every kernel: plain loops over the definition, sums in double precision. What the
/// kernels are tested against, on any machine.
namespace lutra::cpu::reference {

/// Operands of a convolution with its weight as it comes, not packed.
struct ConvArgs {
  const float* x = nullptr;
  const float* weight = nullptr;
  const float* bias = nullptr;
  const float* residual = nullptr;
  float* y = nullptr;
};

float activate(Activation activation, float x);
void activate(Activation activation, const float* x, float* y, int64_t count);
void clip(const float* x, Clamp bounds, float* y, int64_t count);
void leaky_relu(const float* x, float slope, float* y, int64_t count);
void binary(BinaryOp op, const Shape& a_shape, const float* a, const Shape& b_shape, const float* b,
            float* y);

void conv2d(const Conv2dShape& shape, Activation activation, const ConvArgs& args);
void conv_transpose2d(const Conv2dShape& shape, Activation activation, const ConvArgs& args);

void to_blocks(const ReorderShape& shape, const float* x, float* y);
void to_blocks(const ReorderShape& shape, const uint8_t* x, uint8_t* y);
void from_blocks(const ReorderShape& shape, const float* x, float* y);
void from_blocks(const ReorderShape& shape, const uint8_t* x, uint8_t* y);
/// The padding of the last block of y becomes zeros.
void blocked_conv2d(const Conv2dShape& shape, bool plain_input, Activation activation, const ConvArgs& args);
/// `shape.planes` counts blocks.
void blocked_pool2d(const PoolShape& shape, const float* x, float* y);

/// Operands of an 8-bit convolution or linear layer: see QuantisedArgs.
struct QuantisedConvArgs {
  const uint8_t* x = nullptr;
  const int8_t* weight = nullptr;
  const int32_t* bias = nullptr;
  const float* scale = nullptr;
  const uint8_t* residual = nullptr;
  uint8_t* y = nullptr;
};

void quantised_conv2d(const Conv2dShape& shape, bool plain_input, const QuantisedOperands& operands,
                      const QuantisedConvArgs& args);
void quantised_linear(const QuantisedLinear::Shape& shape, const QuantisedOperands& operands,
                      const QuantisedConvArgs& args);
void quantised_pool2d(const PoolShape& shape, int64_t inner, const QuantisedOperands& operands,
                      const uint8_t* x, uint8_t* y);
void add_quantised(const QuantisedOperands& operands, const uint8_t* a, const uint8_t* b, uint8_t* y,
                   int64_t count);
void quantise(Quantisation to, const float* x, uint8_t* y, int64_t count);
void dequantise(Quantisation from, const uint8_t* x, float* y, int64_t count);

void matmul(const MatmulShape& shape, const float* a, const float* b, float* c);
/// `args.packed_weight` is the weight as it comes: columns x depth.
void linear(const LinearShape& shape, Activation activation, const LinearArgs& args);
void attention(const AttentionShape& shape, const AttentionArgs& args);

void pool2d(const PoolShape& shape, const float* x, float* y);
void adaptive_average_pool(const AdaptivePoolShape& shape, const float* x, float* y);

void batch_norm(const ChannelNormShape& shape, const NormArgs& args);
void group_norm(const ChannelNormShape& shape, const NormArgs& args);
void layer_norm(const RowNormShape& shape, const NormArgs& args);
void rms_norm(const RowNormShape& shape, const NormArgs& args);

void softmax(const AxisShape& shape, const float* x, float* y);
void reduce(const Shape& shape, const std::vector<int64_t>& axes, Reduction reduction, float scale,
            const float* x, float* y);
void expand(const Shape& from, const Shape& to, const float* x, float* y);

void concat(int64_t outer, const std::vector<int64_t>& parts, const std::vector<const void*>& x, float* y);
void split(int64_t outer, const std::vector<int64_t>& parts, const float* x, const std::vector<void*>& y);
void slice(const SliceShape& shape, const float* x, float* y);
void pad(const PadShape& shape, const float* x, float* y);
void channel_shuffle(int64_t batch, int64_t channels, int64_t inner, int64_t groups, const float* x,
                     float* y);
void transpose(const Shape& shape, const std::vector<int64_t>& order, const float* x, float* y);
void embedding(const int64_t* ids, int64_t count, const float* table, int64_t vocabulary, int64_t width,
               float* y);
void resize(const ResizeShape& shape, const float* x, float* y);

/// A position in a tensor, counted like an odometer.
class Index {
 public:
  explicit Index(const Shape& shape) : shape_(shape), at_(shape.size(), 0) {}

  int64_t operator[](size_t dim) const { return at_[dim]; }
  const std::vector<int64_t>& at() const { return at_; }
  /// Moves to the next element in memory; false after the last one.
  bool next();

 private:
  Shape shape_;
  std::vector<int64_t> at_;
};

/// Position of element `at` in a dense tensor.
int64_t flat(const Shape& shape, const std::vector<int64_t>& at);

}  // namespace lutra::cpu::reference
