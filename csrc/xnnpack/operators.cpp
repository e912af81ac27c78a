// How each operator of a description becomes a call of XNNPACK's subgraph interface.

#include <limits>
#include <stdexcept>

#include "xnnpack/graph.hpp"

namespace lutra::xnnpack {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

/// A node while it is being defined: its attributes as XNNPACK wants them, its values by number.
class Definition {
 public:
  Definition(const Graph& graph, const NodeSpec& node) : graph_(graph), node_(node) {}

  [[nodiscard]] std::uint32_t input(std::size_t index) const {
    return index < node_.inputs.size() ? graph_.id(node_.inputs[index]) : kNoValue;
  }
  [[nodiscard]] std::uint32_t output() const { return graph_.id(node_.outputs.at(0)); }
  [[nodiscard]] std::vector<std::uint32_t> inputs() const { return ids(node_.inputs); }
  [[nodiscard]] std::vector<std::uint32_t> outputs() const { return ids(node_.outputs); }

  [[nodiscard]] std::uint32_t number(const char* name, std::size_t index = 0) const {
    return static_cast<std::uint32_t>(integers(name).at(index));
  }
  [[nodiscard]] std::int32_t axis() const { return static_cast<std::int32_t>(integers("axis").at(0)); }
  [[nodiscard]] std::vector<std::size_t> sizes(const char* name) const {
    const std::vector<std::int64_t>& values = integers(name);
    return {values.begin(), values.end()};
  }
  [[nodiscard]] bool flag(const char* name) const {
    return node_.attributes.contains(name) && integers(name).at(0) != 0;
  }
  [[nodiscard]] float real(const char* name, float otherwise) const {
    const auto found = node_.attributes.find(name);
    if (found == node_.attributes.end()) return otherwise;
    if (const double* value = std::get_if<double>(&found->second)) return static_cast<float>(*value);
    return static_cast<float>(std::get<std::vector<std::int64_t>>(found->second).at(0));
  }
  [[nodiscard]] float low() const { return real("output_min", -kInfinity); }
  [[nodiscard]] float high() const { return real("output_max", kInfinity); }

  /// Calls xnn_define_<op> with the subgraph in front of the arguments. Their types, which the call is made
  /// with, must be exactly those of the C declaration.
  template <typename... Args>
  void call(Args... args) const {
    const std::string name = "xnn_define_" + node_.op;
    const auto function = reinterpret_cast<Status (*)(XnnSubgraph*, Args...)>(graph_.library().symbol(name));
    graph_.library().check(function(graph_.get(), args...), name);
  }

 private:
  [[nodiscard]] std::vector<std::uint32_t> ids(const std::vector<std::string>& names) const {
    std::vector<std::uint32_t> result;
    for (const std::string& name : names) result.push_back(graph_.id(name));
    return result;
  }
  [[nodiscard]] const std::vector<std::int64_t>& integers(const char* name) const {
    const auto found = node_.attributes.find(name);
    const auto* values =
        found == node_.attributes.end() ? nullptr : std::get_if<std::vector<std::int64_t>>(&found->second);
    if (values == nullptr)
      throw std::invalid_argument(node_.op + " needs integers called '" + std::string(name) + "'");
    return *values;
  }

  const Graph& graph_;
  const NodeSpec& node_;
};

constexpr std::uint32_t kNoFlags = 0;

void define_unary(const Definition& d) { d.call(d.input(0), d.output(), kNoFlags); }

void define_clamp(const Definition& d) { d.call(d.low(), d.high(), d.input(0), d.output(), kNoFlags); }

void define_leaky_relu(const Definition& d) {
  d.call(d.real("negative_slope", 0.0F), d.input(0), d.output(), kNoFlags);
}

void define_binary(const Definition& d) {
  d.call(d.low(), d.high(), d.input(0), d.input(1), d.output(), kNoFlags);
}

// Pads are given as top, left, bottom, right; XNNPACK takes top, right, bottom, left.

void define_convolution(const Definition& d) {
  const std::vector<std::size_t> channels = d.sizes("group_channels");
  d.call(d.number("padding", 0), d.number("padding", 3), d.number("padding", 2), d.number("padding", 1),
         d.number("kernel", 0), d.number("kernel", 1), d.number("stride", 0), d.number("stride", 1),
         d.number("dilation", 0), d.number("dilation", 1), d.number("groups"), channels.at(0), channels.at(1),
         d.low(), d.high(), d.input(0), d.input(1), d.input(2), d.output(), kNoFlags);
}

void define_depthwise_convolution(const Definition& d) {
  d.call(d.number("padding", 0), d.number("padding", 3), d.number("padding", 2), d.number("padding", 1),
         d.number("kernel", 0), d.number("kernel", 1), d.number("stride", 0), d.number("stride", 1),
         d.number("dilation", 0), d.number("dilation", 1), d.number("depth_multiplier"),
         d.sizes("channels").at(0), d.low(), d.high(), d.input(0), d.input(1), d.input(2), d.output(),
         kNoFlags);
}

void define_deconvolution(const Definition& d) {
  const std::vector<std::size_t> channels = d.sizes("group_channels");
  d.call(d.number("padding", 0), d.number("padding", 3), d.number("padding", 2), d.number("padding", 1),
         d.number("adjustment", 0), d.number("adjustment", 1), d.number("kernel", 0), d.number("kernel", 1),
         d.number("stride", 0), d.number("stride", 1), d.number("dilation", 0), d.number("dilation", 1),
         d.number("groups"), channels.at(0), channels.at(1), d.low(), d.high(), d.input(0), d.input(1),
         d.input(2), d.output(), kNoFlags);
}

void define_fully_connected(const Definition& d) {
  d.call(d.low(), d.high(), d.input(0), d.input(1), d.input(2), d.output(), kNoFlags);
}

void define_matrix_multiply(const Definition& d) {
  d.call(d.input(0), d.input(1), d.output(), d.flag("transpose_b") ? kTransposeB : kNoFlags);
}

void define_max_pooling(const Definition& d) {
  d.call(d.number("padding", 0), d.number("padding", 3), d.number("padding", 2), d.number("padding", 1),
         d.number("kernel", 0), d.number("kernel", 1), d.number("stride", 0), d.number("stride", 1),
         std::uint32_t{1}, std::uint32_t{1}, d.low(), d.high(), d.input(0), d.output(), kNoFlags);
}

void define_average_pooling(const Definition& d) {
  d.call(d.number("padding", 0), d.number("padding", 3), d.number("padding", 2), d.number("padding", 1),
         d.number("kernel", 0), d.number("kernel", 1), d.number("stride", 0), d.number("stride", 1), d.low(),
         d.high(), d.input(0), d.output(), kNoFlags);
}

void define_global_pooling(const Definition& d) {
  d.call(d.low(), d.high(), d.input(0), d.output(), kKeepDims);
}

void define_mean(const Definition& d) {
  const std::vector<std::size_t> axes = d.sizes("axes");
  d.call(axes.size(), axes.data(), d.input(0), d.output(), d.flag("keep_dims") ? kKeepDims : kNoFlags);
}

void define_shape(const Definition& d) {
  const std::vector<std::size_t> shape = d.sizes("shape");
  d.call(shape.size(), shape.data(), d.input(0), d.output(), kNoFlags);
}

void define_transpose(const Definition& d) {
  const std::vector<std::size_t> order = d.sizes("perm");
  d.call(order.size(), order.data(), d.input(0), d.output(), kNoFlags);
}

void define_slice(const Definition& d) {
  const std::vector<std::size_t> offsets = d.sizes("offsets");
  const std::vector<std::size_t> shape = d.sizes("shape");
  if (offsets.size() != shape.size())
    throw std::invalid_argument("static_slice needs as many sizes as offsets");
  d.call(offsets.size(), offsets.data(), shape.data(), d.input(0), d.output(), kNoFlags);
}

void define_pad(const Definition& d) {
  const std::vector<std::size_t> before = d.sizes("before");
  const std::vector<std::size_t> after = d.sizes("after");
  d.call(before.data(), after.data(), d.real("value", 0.0F), d.input(0), d.output(), kNoFlags);
}

void define_resize(const Definition& d) {
  const std::vector<std::size_t> size = d.sizes("size");
  d.call(size.at(0), size.at(1), d.input(0), d.output(), kNoFlags);
}

void define_concatenate(const Definition& d) {
  const std::vector<std::uint32_t> inputs = d.inputs();
  d.call(d.axis(), inputs.size(), inputs.data(), d.output(), kNoFlags);
}

void define_split(const Definition& d) {
  const std::vector<std::uint32_t> outputs = d.outputs();
  d.call(d.axis(), d.input(0), outputs.size(), outputs.data(), kNoFlags);
}

using Definer = void (*)(const Definition&);

const std::map<std::string, Definer>& definers() {
  static const std::map<std::string, Definer> table = {
      {"abs", define_unary},
      {"add2", define_binary},
      {"average_pooling_2d", define_average_pooling},
      {"batch_matrix_multiply", define_matrix_multiply},
      {"clamp", define_clamp},
      {"concatenate", define_concatenate},
      {"convolution_2d", define_convolution},
      {"deconvolution_2d", define_deconvolution},
      {"depthwise_convolution_2d", define_depthwise_convolution},
      {"divide", define_binary},
      {"even_split", define_split},
      {"exp", define_unary},
      {"fully_connected", define_fully_connected},
      {"gelu", define_unary},
      {"global_average_pooling_2d", define_global_pooling},
      {"hardswish", define_unary},
      {"leaky_relu", define_leaky_relu},
      {"max_pooling_2d", define_max_pooling},
      {"multiply2", define_binary},
      {"negate", define_unary},
      {"reciprocal_square_root", define_unary},
      {"sigmoid", define_unary},
      {"softmax", define_unary},
      {"square", define_unary},
      {"square_root", define_unary},
      {"static_broadcast", define_shape},
      {"static_constant_pad", define_pad},
      {"static_mean", define_mean},
      {"static_reshape", define_shape},
      {"static_resize_bilinear_2d", define_resize},
      {"static_slice", define_slice},
      {"static_transpose", define_transpose},
      {"subtract", define_binary},
      {"tanh", define_unary},
  };
  return table;
}

}  // namespace

void define_node(const Graph& graph, const NodeSpec& node) {
  const auto found = definers().find(node.op);
  if (found == definers().end()) throw std::invalid_argument("no operator is called '" + node.op + "'");
  try {
    found->second(Definition(graph, node));
  } catch (const std::out_of_range&) {
    throw std::invalid_argument(node.op + " lacks an output or elements of an attribute");
  }
}

std::vector<std::string> known_operators() {
  std::vector<std::string> names;
  for (const auto& [name, definer] : definers()) names.push_back(name);
  return names;
}

}  // namespace lutra::xnnpack
