#include "gpu_sim/model.hpp"

#include <cmath>
#include <stdexcept>
#include <string>

namespace lutra::gpu_sim {

namespace {

constexpr double kLeast = 1e-9;  // of what is divided by

void require(bool condition, const char* what) {
  if (!condition) throw std::invalid_argument(what);
}

void check(const Host& host) {
  require(host.copies > 0 && host.floor_ns >= 0 && host.unhidden >= 0 && host.unhidden <= 1,
          "host: floor_ns >= 0, unhidden in 0..1");
}

void check(const Power& power) {
  require(power.idle_share >= 0 && power.idle_share < 1, "power: idle_share in 0..1");
}

void check(const std::vector<Tile>& tiles) {
  require(!tiles.empty(), "products need a tile");
  for (const Tile& tile : tiles)
    require(tile.a >= 1 && tile.b >= 1 && tile.warps >= 1 && tile.residency >= 1 && tile.outputs >= 1 &&
                tile.efficiency > kLeast && tile.overfetch >= 0,
            "a tile needs positive sizes and efficiency");
}

void check(const ProductConstants& constants) {
  check(constants.tiles);
  require(constants.step >= 1 && constants.dram_efficiency > kLeast && constants.warm_share > kLeast &&
              constants.l2_bytes_per_clock > kLeast && constants.drift >= 0,
          "products: step, dram_efficiency and l2_bytes_per_clock must be positive");
  for (const Tree& tree : constants.selection.trees) tree.check(constants.tiles.size());
  check(constants.host);
  check(constants.power);
}

void check(const ConvConstants& constants) {
  check(constants.product);
  check(constants.winograd_tiles);
  for (const auto& [name, member] : ConvConstants::names())
    if (constants.*member <= kLeast && std::string(name) != "winograd_ns")
      throw std::invalid_argument(std::string("conv: ") + name + " must be positive");
}

void check(const StreamConstants& constants) {
  require(constants.dram_efficiency > kLeast && constants.l2_bytes_per_clock > kLeast,
          "streams: dram_efficiency and l2_bytes_per_clock must be positive");
  check(constants.host);
}

void check(const RowConstants& constants) {
  require(constants.dram_efficiency > kLeast && constants.l2_bytes_per_clock > kLeast &&
              constants.rereads >= 0 && constants.loss_width > kLeast && constants.block_threads >= 0,
          "rows: dram_efficiency and l2_bytes_per_clock must be positive, as loss_width");
  check(constants.host);
}

void check(const Device& device) {
  require(device.sm_count >= 1 && device.clock_ghz > 0 && device.bandwidth > 0 && device.l2_bytes > 0 &&
              device.l2_partitions >= 1 && device.tdp_w > 0 && device.threads_per_sm >= 32 &&
              device.node_nm > 0 && device.launch_ns >= 0 && device.peak[0] > 0,
          "a device needs positive multiprocessors, clock, bandwidth, L2, power, node and fp32 peak");
}

/// How many sizes of an op must be at least 1, from the first on; the others may be 0.
std::size_t sizes_of(Kind kind) {
  switch (kind) {
    case Kind::kGemm:
    case Kind::kLinear:
      return 4;
    case Kind::kConv:
      return 9;
    case Kind::kPooling:
      return 3;
    case Kind::kElementwise:
      return 1;
    case Kind::kSoftmax:
    case Kind::kNorm:
      return 2;
    case Kind::kMovement:
      return 0;
  }
  throw std::invalid_argument("a kind that is not known");
}

void check(const Op& op, const Device& device) {
  const auto kind = static_cast<int>(op.kind), dtype = static_cast<int>(op.dtype);
  require(kind >= 0 && kind < kKinds, "a kind that is not known");
  require(dtype >= 0 && dtype < static_cast<int>(kDtypes), "a number format that is not known");
  const std::size_t positive = sizes_of(op.kind);
  for (std::size_t i = 0; i < op.size.size(); ++i)
    if (op.size[i] < (i < positive ? 1 : 0))
      throw std::invalid_argument("size " + std::to_string(i) + " is " + std::to_string(op.size[i]));
  if (op.kind <= Kind::kConv)
    require(device.peak[static_cast<std::size_t>(dtype)] > 0,
            "the device does not compute in this number format");
  if (op.kind == Kind::kConv) {
    const auto& s = op.size;
    require(s[11] >= 1 && s[12] >= 1 && s[13] >= 1, "dilations and groups must be at least 1");
    require(s[1] % s[13] == 0 && s[4] % s[13] == 0, "groups must divide channels and filters");
    require(s[2] + 2 * s[9] > s[11] * (s[5] - 1) && s[3] + 2 * s[10] > s[12] * (s[6] - 1),
            "the window is larger than the padded input");
  }
  if (op.kind <= Kind::kLinear) require(op.size[4] == 0 || op.size[5] >= 0, "split must not be negative");
}

double at(const Op& op, std::size_t index) { return static_cast<double>(op.size[index]); }

void to_node(Power& power, double node_nm) {
  const double factor = std::pow(node_nm, power.node_exponent);
  power.pj_per_flop *= factor;
  power.pj_per_l2_byte *= factor;
}

}  // namespace

void Constants::check() const {
  for (std::size_t unit = 0; unit < 2; ++unit) {
    gpu_sim::check(gemm[unit]);
    gpu_sim::check(linear[unit]);
    gpu_sim::check(conv[unit]);
  }
  for (const StreamConstants* stream : {&elementwise, &pooling, &movement}) gpu_sim::check(*stream);
  for (const RowConstants* rows : {&softmax, &norm}) gpu_sim::check(*rows);
}

Model::Model(const Device& device, const Constants& constants) : device_(device), constants_(constants) {
  check(device);
  constants.check();
  for (std::size_t unit = 0; unit < 2; ++unit)
    for (ProductConstants* product :
         {&constants_.gemm[unit], &constants_.linear[unit], &constants_.conv[unit].product})
      to_node(product->power, device.node_nm);
}

Answer Model::estimate(const Op& op) const {
  check(op, device_);
  const std::size_t unit = device_.tensor_cores(op.dtype) ? 1 : 0;
  const double bytes = kBytes[static_cast<std::size_t>(op.dtype)];
  const auto streamed = [this](const StreamConstants& constants, double moved, double outputs,
                               double inputs) {
    return answer(stream_parts(device_, constants, moved, outputs, inputs), device_, constants.host, Power{});
  };
  const auto reduced = [&](const RowConstants& constants) {
    return answer(row_parts(device_, constants, at(op, 0), at(op, 1), bytes), device_, constants.host,
                  Power{});
  };
  switch (op.kind) {
    case Kind::kGemm:
    case Kind::kLinear: {
      const ProductConstants& constants =
          (op.kind == Kind::kGemm ? constants_.gemm : constants_.linear)[unit];
      const Product product = product_of(op);
      require(static_cast<std::size_t>(product.tile) <= constants.tiles.size(), "a tile that is not there");
      const Shape shape = shape_of(product, op.dtype);
      const Parts parts = chosen_parts(device_, constants, shape, op.dtype, product.tile, product.split);
      return answer(parts, device_, constants.host, constants.power);
    }
    case Kind::kConv: {
      const ConvConstants& constants = constants_.conv[unit];
      const Parts parts = conv_parts(device_, constants, conv_of(op), op.dtype);
      return answer(parts, device_, constants.product.host, constants.product.power);
    }
    case Kind::kElementwise:
      return streamed(constants_.elementwise, at(op, 0) * (at(op, 1) + at(op, 2)) * bytes, at(op, 0), 1);
    case Kind::kPooling:
      return streamed(constants_.pooling, (at(op, 0) + at(op, 1)) * bytes, at(op, 1), at(op, 2));
    case Kind::kMovement:
      return streamed(constants_.movement, at(op, 0) + at(op, 1), 0, 1);
    case Kind::kSoftmax:
      return reduced(constants_.softmax);
    case Kind::kNorm:
      return reduced(constants_.norm);
  }
  throw std::invalid_argument("a kind that is not known");
}

void Model::estimate(std::span<const Op> ops, std::span<Answer> answers) const {
  require(ops.size() == answers.size(), "as many answers as ops are needed");
  for (std::size_t i = 0; i < ops.size(); ++i) {
    try {
      answers[i] = estimate(ops[i]);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument("op " + std::to_string(i) + ": " + error.what());
    }
  }
}

}  // namespace lutra::gpu_sim
