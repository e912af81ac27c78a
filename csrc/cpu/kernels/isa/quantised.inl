// Rows of 8-bit numbers: made from others and into others, added.

namespace lutra::cpu::LUTRA_ISA {

static void requantise_block(const QuantisedBlock& given) {
  const QuantisedBlock block = given;
  int32_t bias[kLanes + kChannelBlock];  // repeated, for vectors that begin anywhere or hold two pixels
  float multiplier[kLanes + kChannelBlock];
  for (int64_t i = 0; i < kLanes + kChannelBlock; ++i) {
    bias[i] = block.bias[i % kChannelBlock];
    multiplier[i] = block.multiplier[i % kChannelBlock];
  }
  for_each_vector(block.pixels * kChannelBlock, [&](int64_t i, auto lanes) {
    const VecInt sum = __builtin_convertvector(load_first(block.sums + i, lanes), VecInt);
    const int64_t channel = i % kChannelBlock;
    Vec value = to_floats(sum + load_ints(bias + channel)) * load(multiplier + channel);
    if (block.add != nullptr)  // else the clamp limits it
      value = limited(value) + second_operand(load_first(block.add + i, lanes), block.requantisation);
    store_bytes(block.y + i, narrowed(rounded(value, block.requantisation)), lanes);
  });
}

static void widen(const uint8_t* x, int32_t zero, int16_t* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = static_cast<int16_t>(x[i] - zero);
}

static void widen_to_float(const uint8_t* x, int32_t zero, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = static_cast<float>(x[i] - zero);
}

static void quantise(const float* x, float multiplier, const Requantisation& given, uint8_t* y,
                     int64_t count) {
  const Requantisation to = given;
  for_each_vector(count, [=](int64_t i, auto lanes) {
    store_bytes(y + i, narrowed(rounded(load_first(x + i, lanes) * multiplier, to)), lanes);
  });
}

static void dequantise(const uint8_t* x, Quantisation from, float* y, int64_t count) {
  for (int64_t i = 0; i < count; ++i) y[i] = static_cast<float>(x[i] - from.zero) * from.scale;
}

static void add_quantised(const uint8_t* a, int32_t a_zero, float multiplier, const uint8_t* b,
                          const Requantisation& given, uint8_t* y, int64_t count) {
  const Requantisation to = given;
  for_each_vector(count, [=](int64_t i, auto lanes) {
    const VecInt left = to_ints(load_first(a + i, lanes)) - a_zero;
    const Vec value = limited(to_floats(left) * multiplier) + second_operand(load_first(b + i, lanes), to);
    store_bytes(y + i, narrowed(rounded(value, to)), lanes);
  });
}

}  // namespace lutra::cpu::LUTRA_ISA
