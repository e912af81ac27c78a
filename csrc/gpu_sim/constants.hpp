#pragma once

#include <string>
#include <utility>
#include <vector>

#include "gpu_sim/selection.hpp"

namespace lutra::gpu_sim {

/// Every constant by its name: what files of constants are read by, so that none can be forgotten.
template <class Constants>
using Names = std::vector<std::pair<const char*, double Constants::*>>;

/// What the host adds to a kernel that is launched alone and waited for: t = norm8(floor, unhidden * floor +
/// kernel).
struct Host {
  double floor_ns = 0;  ///< least time between two events around a launch; 0: in a graph, the device's own
  double unhidden = 1;  ///< share of the floor that the kernel waits for
  double copies = 1;    ///< sets of operands that are used in turns
  double pause_ns = 0;  ///< how long the device rests, and draws little, before each run

  static Names<Host> names() {
    return {{"floor_ns", &Host::floor_ns},
            {"unhidden", &Host::unhidden},
            {"copies", &Host::copies},
            {"pause_ns", &Host::pause_ns}};
  }
};

/// Energy and power: a kernel cannot be quicker than its energy allows at the power that is left for
/// switching.
struct Power {
  double pj_per_flop = 0;  ///< at a node of 1 nm; grows with node^exponent
  double node_exponent = 1;
  double pj_per_byte = 0;     ///< of DRAM traffic
  double pj_per_l2_byte = 0;  ///< of traffic within the L2, at a node of 1 nm
  double idle_share = 0;      ///< of the TDP that goes into anything else

  static Names<Power> names() {
    return {{"pj_per_flop", &Power::pj_per_flop},
            {"node_exponent", &Power::node_exponent},
            {"pj_per_byte", &Power::pj_per_byte},
            {"pj_per_l2_byte", &Power::pj_per_l2_byte},
            {"idle_share", &Power::idle_share}};
  }
};

/// A kernel of a matrix library: what one block computes, and how well.
struct Tile {
  double a = 0;           ///< columns of the result (n)
  double b = 0;           ///< rows of the result (m)
  double warps = 0;       ///< of a block
  double residency = 0;   ///< blocks that a multiprocessor holds
  double outputs = 0;     ///< results that a thread accumulates
  double efficiency = 0;  ///< of the multiprocessor's peak, with enough warps and inputs at hand
  double overfetch = 1;   ///< bytes that DRAM moves for one that the L2 lost: more than 1 for pieces of rows

  static Names<Tile> names() {
    return {{"a", &Tile::a},
            {"b", &Tile::b},
            {"warps", &Tile::warps},
            {"residency", &Tile::residency},
            {"outputs", &Tile::outputs},
            {"efficiency", &Tile::efficiency},
            {"overfetch", &Tile::overfetch}};
  }
};

/// Of one class of matrix products.
struct ProductConstants {
  double step = 8;             ///< k is worked off in steps of so many
  double prologue_steps = 0;   ///< added to k: filling the pipeline
  double epilogue_cycles = 0;  ///< for 64 results of a tile: writing them
  double step_latency_ns = 0;  ///< of one k, when a block cannot hide it
  double warps_half = 0;       ///< warps that a multiprocessor needs to be busy: u = w / sqrt(w^2 + half^2)
  double dram_efficiency = 1;
  double l2_bytes_per_clock = 1;  ///< for each multiprocessor
  double retained_share = 0;      ///< of the L2 that keeps an operand which is read again
  double warm_share = 0.5;        ///< of the L2: operands that take less, in all copies, are found there
  double drift = 0;               ///< how far blocks that share operands are apart, as a share of k
  double split_ns = 0;            ///< for adding up the parts of a split k
  Host host;
  Power power;
  std::vector<Tile> tiles;
  Selection selection;

  static Names<ProductConstants> names() {
    return {{"step", &ProductConstants::step},
            {"prologue_steps", &ProductConstants::prologue_steps},
            {"epilogue_cycles", &ProductConstants::epilogue_cycles},
            {"step_latency_ns", &ProductConstants::step_latency_ns},
            {"warps_half", &ProductConstants::warps_half},
            {"dram_efficiency", &ProductConstants::dram_efficiency},
            {"l2_bytes_per_clock", &ProductConstants::l2_bytes_per_clock},
            {"retained_share", &ProductConstants::retained_share},
            {"warm_share", &ProductConstants::warm_share},
            {"drift", &ProductConstants::drift},
            {"split_ns", &ProductConstants::split_ns}};
  }
};

/// Of convolutions: products as of matrices whose left operand is never written, and what else libraries do.
struct ConvConstants {
  ProductConstants product;
  std::vector<Tile> winograd_tiles;      ///< of the products of F(4x4, 3x3), whose transforms are kernels
  double winograd_bandwidth = 1;         ///< share of the DRAM's that the transforms reach
  double winograd_ns = 0;                ///< for launching them
  double fused_winograd_efficiency = 1;  ///< of F(2x2, 3x3) in one kernel, as a tile's
  double depthwise_efficiency = 1;       ///< of the SIMT peak, where a group has few channels
  double depthwise_bandwidth = 1;        ///< of the DRAM's

  static Names<ConvConstants> names() {
    return {{"winograd_bandwidth", &ConvConstants::winograd_bandwidth},
            {"winograd_ns", &ConvConstants::winograd_ns},
            {"fused_winograd_efficiency", &ConvConstants::fused_winograd_efficiency},
            {"depthwise_efficiency", &ConvConstants::depthwise_efficiency},
            {"depthwise_bandwidth", &ConvConstants::depthwise_bandwidth}};
  }
};

/// Of kernels that stream through memory: element-wise, pooling, copies.
struct StreamConstants {
  double dram_efficiency = 1;
  double l2_bytes_per_clock = 1;  ///< for each multiprocessor
  double warm_share = 0;          ///< of the L2 that holds inputs before the kernel starts, and keeps outputs
  double ramp_ns = 0;             ///< until memory is busy
  double element_cycles = 0;      ///< of a lane for one element
  double window_cycles = 0;       ///< and for each further input of a window
  Host host;

  static Names<StreamConstants> names() {
    return {{"dram_efficiency", &StreamConstants::dram_efficiency},
            {"l2_bytes_per_clock", &StreamConstants::l2_bytes_per_clock},
            {"warm_share", &StreamConstants::warm_share},
            {"ramp_ns", &StreamConstants::ramp_ns},
            {"element_cycles", &StreamConstants::element_cycles},
            {"window_cycles", &StreamConstants::window_cycles}};
  }
};

/// Of kernels that reduce rows and then write them: softmax, norms. A row is read again for each further
/// phase, from the L2 while the rows that are worked on at once fit there. A block works on a row, in rounds
/// of four elements a thread and, for what is left, of one.
struct RowConstants {
  double dram_efficiency = 1;
  double l2_bytes_per_clock = 1;  ///< for each multiprocessor
  double warm_share = 0;          ///< of the L2 that holds inputs before the kernel starts
  double warp_width = 0;          ///< rows up to this are a warp's and stay in registers
  double block_threads = 0;  ///< that work on a wider row; 0: a quarter of its width, down to a power of two
  double rereads = 0;        ///< of a row that is not in registers
  double kept_share = 0;     ///< of the L2: rows that are worked on at once and take less are all found there
  double loss_width = 0.4;   ///< shares above that until none is
  double row_ns = 0;         ///< of a row, whatever its width
  double vector_round_ns = 0;
  double scalar_round_ns = 0;
  Host host;

  static Names<RowConstants> names() {
    return {{"dram_efficiency", &RowConstants::dram_efficiency},
            {"l2_bytes_per_clock", &RowConstants::l2_bytes_per_clock},
            {"warm_share", &RowConstants::warm_share},
            {"warp_width", &RowConstants::warp_width},
            {"block_threads", &RowConstants::block_threads},
            {"rereads", &RowConstants::rereads},
            {"kept_share", &RowConstants::kept_share},
            {"loss_width", &RowConstants::loss_width},
            {"row_ns", &RowConstants::row_ns},
            {"vector_round_ns", &RowConstants::vector_round_ns},
            {"scalar_round_ns", &RowConstants::scalar_round_ns}};
  }
};

}  // namespace lutra::gpu_sim
