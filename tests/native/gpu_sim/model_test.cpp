#include "gpu_sim/model.hpp"

#include <cmath>
#include <limits>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using namespace lutra::gpu_sim;

namespace {

/// Round numbers: 100 multiprocessors of 64 lanes at 1 GHz, 1 TB/s, 40 MB.
Device device() {
  Device made;
  made.sm_count = 100;
  made.clock_ghz = 1;
  made.bandwidth = 1000;
  made.l2_bytes = 40e6;
  made.tdp_w = 300;
  made.node_nm = 7;
  made.threads_per_sm = 2048;
  made.launch_ns = 2000;
  made.capability = 8.0;
  made.peak = {12800, 0, 100000, 100000, 0, 0};
  return made;
}

ProductConstants product_constants() {
  ProductConstants made;
  made.tiles = {{128, 128, 8, 2, 64, 0.9, 1}, {64, 64, 2, 8, 64, 0.8, 1}};
  made.l2_bytes_per_clock = 32;
  made.warps_half = 4;
  return made;
}

Constants constants() {
  Constants made;
  made.gemm = {product_constants(), product_constants()};
  made.linear = made.gemm;
  for (ConvConstants& conv : made.conv) {
    conv.product = product_constants();
    conv.winograd_tiles = conv.product.tiles;
  }
  made.elementwise.l2_bytes_per_clock = 40;
  return made;
}

Op op(Kind kind, std::array<std::int64_t, 14> size, Dtype dtype = Dtype::kFp32) {
  return {kind, dtype, size};
}

Op conv(std::int64_t channels, std::int64_t filters, std::int64_t edge, std::int64_t groups = 1) {
  return op(Kind::kConv, {1, channels, edge, edge, filters, 3, 3, 1, 1, 1, 1, 1, 1, groups});
}

void test_a_large_product_takes_what_its_arithmetic_does() {
  // 4096^3 with tiles of 128: 1024 blocks, 11 on the busiest of 100 multiprocessors, each
  // 128 * 128 * 4096 / (64 * 0.9) cycles, slower by how busy 16 warps (10 blocks) and 8 (the last) keep it.
  const auto busy = [](double warps) { return warps / std::sqrt(warps * warps + 16); };
  const double block = 128.0 * 128 * 4096 / (64 * 0.9);
  const double expected = block * (10 / busy(16) + 1 / busy(8));
  const Parts parts =
      product_parts(device(), product_constants(), shape_of({1, 4096, 4096, 4096, 0, 0}, Dtype::kFp32),
                    Dtype::kFp32, product_constants().tiles[0], 1);
  CHECK_NEAR(parts.compute / expected, 1, 1e-12);
  CHECK_NEAR(parts.flops, 2.0 * 4096 * 4096 * 4096, 1);
  CHECK_NEAR(parts.l2_bytes, 1024.0 * 256 * 4096 * 4, 1);
  const Answer answer = Model(device(), constants()).estimate(op(Kind::kGemm, {1, 4096, 4096, 4096}));
  CHECK(answer.bound == Bound::kCompute);
  CHECK(answer.latency_ns > expected);
}

void test_bounds_follow_the_op() {
  const Model model(device(), constants());
  CHECK(model.estimate(op(Kind::kElementwise, {100'000'000, 1, 1})).bound == Bound::kDram);
  CHECK(model.estimate(op(Kind::kElementwise, {10, 1, 1})).bound == Bound::kLaunch);
  CHECK_NEAR(model.estimate(op(Kind::kElementwise, {1'000'000'000, 1, 1})).latency_ns / 8e6, 1, 0.05);
}

void test_work_never_makes_a_stream_quicker() {
  const Model model(device(), constants());
  double before = 0;
  for (std::int64_t elements = 1; elements < 1'000'000'000; elements *= 3) {
    const double now = model.estimate(op(Kind::kElementwise, {elements, 2, 1})).latency_ns;
    CHECK(now >= before);
    before = now;
  }
}

void test_given_tiles_are_kept_and_chosen_ones_are_no_slower() {
  const Model model(device(), constants());
  const double chosen = model.estimate(op(Kind::kGemm, {1, 300, 200, 5000})).latency_ns;
  for (std::int64_t tile : {1, 2})
    CHECK(model.estimate(op(Kind::kGemm, {1, 300, 200, 5000, tile, 1})).latency_ns >= chosen);
  CHECK_THROWS(std::invalid_argument, model.estimate(op(Kind::kGemm, {1, 300, 200, 5000, 3, 1})));
}

void test_power_slows_what_draws_too_much() {
  Constants thirsty = constants();
  thirsty.gemm[0].power = {50, 0, 0, 0, 0.2};
  const Op large = op(Kind::kGemm, {1, 4096, 4096, 4096});
  const double free = Model(device(), constants()).estimate(large).latency_ns;
  const double joules = 2.0 * 4096 * 4096 * 4096 * 50e-12;
  const double limited = Model(device(), thirsty).estimate(large).latency_ns;
  CHECK(limited > free);
  CHECK_NEAR(limited / (joules / (300 * 0.8) * 1e9), 1, 0.01);
}

void test_ways_of_convolutions() {
  const Model model(device(), constants());
  CHECK(model.estimate(conv(256, 256, 28)).latency_ns > 0);
  // A depthwise convolution does a channel's share of the work of a dense one, and is quicker.
  CHECK(model.estimate(conv(256, 256, 56, 256)).latency_ns < model.estimate(conv(256, 256, 56)).latency_ns);
}

/// The way that is left when all others are too slow.
ConvConstants only(double implicit, double winograd, double fused) {
  ConvConstants made = constants().conv[0];
  for (Tile& tile : made.product.tiles) tile.efficiency = implicit;
  for (Tile& tile : made.winograd_tiles) tile.efficiency = winograd;
  made.fused_winograd_efficiency = fused;
  return made;
}

Conv square(double batch, double edge) {
  return {batch, 64, edge, edge, 64, 3, 3, 1, 1, 1, 1, 1, 1, 1, edge, edge};
}

void test_batches_are_filled_up_where_tiles_are_transformed() {
  const auto flops = [](double batch) {
    return conv_parts(device(), only(0.001, 0.9, 0.001), square(batch, 16), Dtype::kFp32).flops;
  };
  CHECK_NEAR(flops(1) / flops(16), 1, 1e-12);
  CHECK_NEAR(flops(17) / flops(16), 2, 1e-12);
}

void test_blocks_of_fused_kernels_cover_several_images_before_volta() {
  // Two images of 8 x 8 fill a block of 32 tiles of 2 x 2 together; from Volta on each has a block of its
  // own.
  Device older = device();
  older.capability = 6.0;
  const auto flops = [](const Device& on) {
    return conv_parts(on, only(0.001, 0.001, 0.9), square(2, 8), Dtype::kFp32).flops;
  };
  CHECK_NEAR(flops(older), 2.0 * 32 * 32 * 16 * 64 * 2, 1);
  CHECK_NEAR(flops(device()) / flops(older), 2, 1e-12);
}

void test_plain_convolutions_do_not_split_k() {
  // 64 positions and 64 filters are one block, however long k is.
  Conv deep = square(1, 8);
  deep.channels = 4096;
  const Parts parts = conv_parts(device(), only(0.9, 0.001, 0.001), deep, Dtype::kFp32);
  CHECK(parts.compute >= 64.0 * 64 * 4096 * 9 / (64 * 0.9));
}

void test_blocks_that_drift_apart_read_again() {
  ProductConstants drifting = product_constants();
  drifting.drift = 0.02;
  const Tile& tile = drifting.tiles[0];
  const auto bytes = [&tile](const ProductConstants& constants, double k) {
    return product_parts(device(), constants, shape_of({1, 4096, 4096, k, 0, 0}, Dtype::kFp32), Dtype::kFp32,
                         tile, 1)
        .dram_bytes;
  };
  const double little = bytes(drifting, 64) / bytes(product_constants(), 64);
  const double much = bytes(drifting, 65536) / bytes(product_constants(), 65536);
  CHECK(little < 1.02);
  CHECK(much > 2 * little);
}

void test_shared_issue_slots_slow_multiply_adds() {
  Device shared = device();
  shared.shared_issue = true;
  CHECK_NEAR(issue_share(device(), product_constants().tiles[0]), 1, 1e-12);
  CHECK_NEAR(issue_share(shared, product_constants().tiles[0]), 29.17 / 35.48 / (18.88 / 19.49), 2e-3);
}

void test_what_cannot_be_is_refused() {
  const Model model(device(), constants());
  CHECK_THROWS(std::invalid_argument, model.estimate(op(Kind::kGemm, {1, 0, 4, 4})));
  CHECK_THROWS(std::invalid_argument, model.estimate(op(Kind::kGemm, {1, 4, 4, 4}, Dtype::kInt8)));
  CHECK_THROWS(std::invalid_argument, model.estimate(op(Kind::kElementwise, {-1})));
  CHECK_THROWS(std::invalid_argument, model.estimate(op(static_cast<Kind>(99), {1, 1, 1, 1})));
  CHECK_THROWS(std::invalid_argument, model.estimate(conv(6, 6, 8, 4)));
  CHECK_THROWS(std::invalid_argument,
               model.estimate(op(Kind::kConv, {1, 3, 4, 4, 8, 9, 9, 1, 1, 0, 0, 1, 1, 1})));
  Device none = device();
  none.bandwidth = 0;
  CHECK_THROWS(std::invalid_argument, Model(none, constants()));
  Constants broken = constants();
  broken.gemm[0].tiles.clear();
  CHECK_THROWS(std::invalid_argument, Model(device(), broken));
  broken = constants();
  broken.conv[0].winograd_tiles.clear();
  CHECK_THROWS(std::invalid_argument, Model(device(), broken));
  std::vector<Answer> too_few(1);
  CHECK_THROWS(std::invalid_argument, model.estimate(std::vector<Op>(2), too_few));
}

void test_extreme_sizes_have_finite_answers() {
  const Model model(device(), constants());
  const std::int64_t large = std::int64_t{1} << 40;
  for (const Op& one :
       {op(Kind::kGemm, {large, large, large, large}), op(Kind::kSoftmax, {large, large}),
        op(Kind::kNorm, {1, 1}), op(Kind::kMovement, {0, 0}), op(Kind::kPooling, {large, 1, large})})
    CHECK(std::isfinite(model.estimate(one).latency_ns));
}

}  // namespace

int main() {
  test_a_large_product_takes_what_its_arithmetic_does();
  test_bounds_follow_the_op();
  test_work_never_makes_a_stream_quicker();
  test_given_tiles_are_kept_and_chosen_ones_are_no_slower();
  test_power_slows_what_draws_too_much();
  test_ways_of_convolutions();
  test_batches_are_filled_up_where_tiles_are_transformed();
  test_blocks_of_fused_kernels_cover_several_images_before_volta();
  test_plain_convolutions_do_not_split_k();
  test_blocks_that_drift_apart_read_again();
  test_shared_issue_slots_slow_multiply_adds();
  test_what_cannot_be_is_refused();
  test_extreme_sizes_have_finite_answers();
  return lutra::check::finish();
}
