#pragma once

#include <array>
#include <cstddef>

namespace lutra::gpu_sim {

/// Number formats, in the order of `Device::peak`.
enum class Dtype : int { kFp32, kTf32, kFp16, kBf16, kInt8, kFp8 };
inline constexpr std::size_t kDtypes = 6;

/// Bytes that an element takes in memory; tf32 is kept as fp32.
inline constexpr std::array<double, kDtypes> kBytes{4, 4, 2, 2, 1, 1};

/// A GPU as its datasheet has it. Times are ns, so bandwidths are bytes/ns (= GB/s) and rates are FLOP/ns
/// (= GFLOP/s), a multiply-add as two.
struct Device {
  double sm_count = 0;
  double clock_ghz = 0;
  double bandwidth = 0;  ///< of DRAM, bytes/ns
  double l2_bytes = 0;
  double l2_partitions = 1;  ///< each of which keeps a copy of what its multiprocessors read
  double tdp_w = 0;
  double node_nm = 0;
  double threads_per_sm = 0;
  double launch_ns = 0;   ///< of an empty kernel in a graph
  double capability = 0;  ///< compute capability, as in 9.0
  bool shared_issue =
      false;  ///< every scheduler issues one instruction a clock and a multiply-add takes it all:
              ///< instructions that are none delay multiply-adds (compute capability 8.6 and on)
  std::array<double, kDtypes> peak{};  ///< dense, FLOP/ns; 0 where it does not compute in that format

  /// FLOP that one multiprocessor does in one clock.
  double per_clock(Dtype dtype) const {
    return peak[static_cast<std::size_t>(dtype)] / (sm_count * clock_ghz);
  }
  bool tensor_cores(Dtype dtype) const { return dtype != Dtype::kFp32 && capability >= 7.0; }
};

}  // namespace lutra::gpu_sim
