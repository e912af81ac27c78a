#include "cpu_sim/model.hpp"

#include <limits>
#include <stdexcept>
#include <vector>

#include "check.hpp"

using namespace lutra::cpu_sim;

namespace {

constexpr Chip kChip{.threads = 1,
                     .ghz = 2.0,
                     .flops_per_cycle = 16.0,
                     .lanes = 4.0,
                     .efficiency = 0.5,
                     .l2_bytes = 512e3,
                     .llc_bytes = 2e6,
                     .dram_gb_s = 10.0,
                     .core_dram_gb_s = 8.0,
                     .fork_us = 5.0};
constexpr Constants kConstants{.depthwise = 0.3,
                               .pool = 0.2,
                               .pointwise = 0.2,
                               .depth_half = 16.0,
                               .rows_half = 4.0,
                               .winograd = 1.5,
                               .dram_share = 0.7,
                               .op_us = 2.0};
constexpr Work kLarge{
    .flops = 2e9, .activation_bytes = 1e5, .weight_bytes = 1e5, .depth = 1e9, .outputs = 64, .rows = 1e9};

void test_large_products_run_at_the_chips_share_of_its_peak() {
  // 2e9 / (2 GHz x 16 x .5) = 1.25e8 ns; what a call and the bytes take is little beside it.
  const Estimate found = estimate(kLarge, kChip, kConstants);
  CHECK_NEAR(found.latency_ns, 1.25e8, 1e4);
  CHECK(found.bound == Bound::compute);
}

void test_weights_come_from_memory() {
  // 7 GB/s reach an op: 7e6 bytes take 1 ms, and 2 us for the call.
  const Estimate found = estimate({.weight_bytes = 7e6}, kChip, kConstants);
  CHECK_NEAR(found.latency_ns, 1e6 + 2e3, 1.0);
  CHECK(found.bound == Bound::dram);
}

void test_small_activations_come_from_the_core_own_cache() {
  const Estimate small = estimate({.activation_bytes = 256e3}, kChip, kConstants);
  CHECK_NEAR(small.latency_ns, 256e3 / (2.0 * 16.0) + 2e3, 1e-6);
  CHECK(small.bound == Bound::l2);
  const Estimate large = estimate({.activation_bytes = 1e6}, kChip, kConstants);
  CHECK_NEAR(large.latency_ns, 256e3 / (2.0 * 16.0) + 744e3 / (2.0 * 8.0) + 2e3, 1e-6);
  CHECK(large.bound == Bound::llc);
  CHECK(estimate({.activation_bytes = 1e8}, kChip, kConstants).bound == Bound::dram);
}

void test_nothing_to_do_takes_a_call() {
  const Estimate found = estimate({}, kChip, kConstants);
  CHECK_NEAR(found.latency_ns, 2e3, 1e-9);
  CHECK(found.bound == Bound::launch);
  Chip two = kChip;
  two.threads = 2;
  CHECK_NEAR(estimate({}, two, kConstants).latency_ns, 7e3, 1e-9);
}

void test_threads_help_as_far_as_there_are_parts_to_share() {
  Chip four = kChip;
  four.threads = 4;
  four.fork_us = 0.0;
  Work work = kLarge;
  work.rows = 24.0;  // three parts for four threads: as three
  work.depth = 1e9;
  const double alone = estimate(work, kChip, kConstants).latency_ns;
  CHECK_NEAR(alone / estimate(work, four, kConstants).latency_ns, 3.0, 1e-2);
}

void test_channels_that_do_not_fill_vectors_cost_as_those_that_do() {
  Work five = kLarge, eight = kLarge;
  five.outputs = 5.0;
  eight.outputs = 8.0;
  five.flops = 5e8;
  eight.flops = 8e8;
  CHECK_NEAR(estimate(five, kChip, kConstants).latency_ns, estimate(eight, kChip, kConstants).latency_ns,
             1e3);
}

void test_winograd_and_depthwise() {
  Work work = kLarge;
  work.winograd = true;
  CHECK_NEAR(estimate(work, kChip, kConstants).latency_ns, 1.25e8 / 1.5, 1e4);
  work.winograd = false;
  work.kind = Kind::depthwise;
  CHECK_NEAR(estimate(work, kChip, kConstants).latency_ns, 1.25e8 / 0.3, 1e4);
}

void test_impossible_numbers_are_refused() {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  CHECK_THROWS(std::invalid_argument, estimate({.flops = -1.0}, kChip, kConstants));
  CHECK_THROWS(std::invalid_argument, estimate({.flops = kInfinite}, kChip, kConstants));
  CHECK_THROWS(std::invalid_argument, estimate({.depth = 0.0}, kChip, kConstants));
  Chip chip = kChip;
  chip.threads = 0;
  CHECK_THROWS(std::invalid_argument, estimate({}, chip, kConstants));
  chip = kChip;
  chip.ghz = std::numeric_limits<double>::quiet_NaN();
  CHECK_THROWS(std::invalid_argument, estimate({}, chip, kConstants));
  Constants constants = kConstants;
  constants.winograd = 0.0;
  CHECK_THROWS(std::invalid_argument, estimate({}, kChip, constants));
}

void test_many_are_as_one() {
  const std::vector<Work> works{kLarge, {}, {.weight_bytes = 7e6}};
  const auto found = estimate_all(works, kChip, kConstants);
  CHECK(found.size() == works.size());
  for (std::size_t i = 0; i < works.size(); ++i) {
    CHECK(found[i].latency_ns == estimate(works[i], kChip, kConstants).latency_ns);
  }
}

}  // namespace

int main() {
  test_large_products_run_at_the_chips_share_of_its_peak();
  test_weights_come_from_memory();
  test_small_activations_come_from_the_core_own_cache();
  test_nothing_to_do_takes_a_call();
  test_threads_help_as_far_as_there_are_parts_to_share();
  test_channels_that_do_not_fill_vectors_cost_as_those_that_do();
  test_winograd_and_depthwise();
  test_impossible_numbers_are_refused();
  test_many_are_as_one();
  return lutra::check::finish();
}
