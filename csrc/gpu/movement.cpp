#include <stdexcept>

#include "gpu/step.hpp"

namespace lutra::gpu {
namespace {

/// A copy of elements from one tensor to another: the loop, and where it begins in both.
struct Move {
  std::vector<Axis> axes;
  std::int64_t from = 0;
  std::int64_t to = 0;
};

/// The step that makes moves between input i and output j for every (i, j, move).
struct Route {
  std::size_t input, output;
  Move move;
};

std::unique_ptr<Step> moving(const StepContext& context, std::vector<Route> routes) {
  const auto bytes = static_cast<std::int64_t>(element_bytes(context.output().element));
  return simple_step([=, launches = context.launches()](const Places& places) {
    for (const Route& route : routes)
      launches.copy(places.inputs[route.input] + static_cast<cuda::Pointer>(route.move.from * bytes),
                    places.outputs[route.output] + static_cast<cuda::Pointer>(route.move.to * bytes),
                    route.move.axes);
  });
}

/// A loop over `shape` with the strides of both tensors.
std::vector<Axis> loop(const Shape& shape, const Shape& from, const Shape& to) {
  std::vector<Axis> axes;
  for (std::size_t i = 0; i < shape.size(); ++i) axes.push_back({shape[i], from[i], to[i]});
  return axes;
}

std::unique_ptr<Step> make_transpose(const StepContext& context) {
  const Shape perm = context.integers("perm");
  const Shape& shape = context.output().shape;
  const Shape own = context.strides(context.input(0).shape);
  Shape from;
  for (const std::int64_t axis : perm) from.push_back(own.at(static_cast<std::size_t>(axis)));
  return moving(context, {{0, 0, {loop(shape, from, context.strides(shape))}}});
}

std::unique_ptr<Step> make_concat(const StepContext& context) {
  const Shape to = context.strides(context.output().shape);
  const std::size_t axis = context.axis("axis", context.output().shape);
  std::vector<Route> routes;
  std::int64_t done = 0;
  for (std::size_t i = 0; i < context.input_count(); ++i) {
    const Shape& part = context.input(i).shape;
    routes.push_back({i, 0, {loop(part, context.strides(part), to), 0, done * to[axis]}});
    done += part[axis];
  }
  return moving(context, routes);
}

std::unique_ptr<Step> make_split(const StepContext& context) {
  const Shape from = context.strides(context.input(0).shape);
  const std::size_t axis = context.axis("axis", context.input(0).shape);
  std::vector<Route> routes;
  std::int64_t done = 0;
  for (std::size_t i = 0; i < context.output_count(); ++i) {
    const Shape& part = context.output(i).shape;
    routes.push_back({0, i, {loop(part, from, context.strides(part)), done * from[axis], 0}});
    done += part[axis];
  }
  return moving(context, routes);
}

std::unique_ptr<Step> make_slice(const StepContext& context) {
  Shape from = context.strides(context.input(0).shape);
  const std::size_t axis = context.axis("axis", context.input(0).shape);
  const std::int64_t begin = context.integer("start", 0) * from[axis];
  from[axis] *= context.integer("step", 1);
  const Shape& shape = context.output().shape;
  return moving(context, {{0, 0, {loop(shape, from, context.strides(shape)), begin, 0}}});
}

std::unique_ptr<Step> make_expand(const StepContext& context) {
  const Shape& in = context.input(0).shape;
  const Shape& shape = context.output().shape;
  const Shape own = context.strides(in);
  Shape from(shape.size(), 0);
  for (std::size_t i = 0; i < in.size(); ++i)
    if (in[i] > 1) from[shape.size() - in.size() + i] = own[i];
  return moving(context, {{0, 0, {loop(shape, from, context.strides(shape))}}});
}

std::unique_ptr<Step> make_shuffle(const StepContext& context) {
  const Shape& shape = context.output().shape;
  if (shape.size() != 4) throw std::invalid_argument("no image");
  const std::int64_t groups = context.integer("groups");
  const std::int64_t each = shape[1] / groups;
  const Shape s = context.strides(shape);
  // Channel i * each + j goes to j * groups + i.
  const std::vector<Axis> axes = {{shape[0], s[0], s[0]},
                                  {each, s[1], groups * s[1]},
                                  {groups, each * s[1], s[1]},
                                  {shape[2], s[2], s[2]},
                                  {shape[3], s[3], s[3]}};
  return moving(context, {{0, 0, {axes}}});
}

std::unique_ptr<Step> make_relayout(const StepContext& context) {
  const Shape& shape = context.output().shape;
  const bool to_last = context.channels_last();
  const std::vector<Axis> axes =
      loop(shape, StepContext::strides_of(shape, !to_last), StepContext::strides_of(shape, to_last));
  return moving(context, {{0, 0, {axes}}});
}

std::unique_ptr<Step> make_pad(const StepContext& context) {
  const Shape& in = context.input(0).shape;
  const Shape& shape = context.output().shape;
  const Shape pads = context.integers("pads");
  if (pads.size() != 2 * in.size()) throw std::invalid_argument("two pads are needed for each axis");
  const Shape to = context.strides(shape);
  std::int64_t begin = 0;
  for (std::size_t i = 0; i < in.size(); ++i) begin += pads[i] * to[i];
  return simple_step(
      [=, launches = context.launches(), axes = loop(in, context.strides(in), to),
       count = cpu::elements(shape), value = context.number("value", 0.0F),
       bytes = static_cast<std::int64_t>(element_bytes(context.output().element))](const Places& places) {
        launches.fill(places.outputs[0], count, value);
        launches.copy(places.inputs[0], places.outputs[0] + static_cast<cuda::Pointer>(begin * bytes), axes);
      });
}

std::unique_ptr<Step> make_embedding(const StepContext& context) {
  if (context.input(0).element != Element::kInt64) throw std::invalid_argument("indices must be int64");
  return simple_step([=, launches = context.launches(), rows = cpu::elements(context.input(0).shape),
                      length = context.output().shape.back()](const Places& places) {
    launches.embedding(places.inputs[0], places.inputs[1], places.outputs[0], rows, length);
  });
}

std::unique_ptr<Step> make_cast(const StepContext& context) {
  if (context.input(0).element != context.output().element)
    throw std::invalid_argument("a change of element type");
  const std::int64_t count = cpu::elements(context.output().shape);
  return moving(context, {{0, 0, {{{count, 1, 1}}}}});
}

}  // namespace

std::unique_ptr<Step> make_conversion(const StepContext& context) {
  const Element from = context.input(0).element;
  const Element to = context.output().element;
  const bool out_of = from == Element::kInt8;
  if (!out_of && to != Element::kInt8 && to != Element::kFloat8)
    throw std::invalid_argument("a change of element type that is none of 8 bits");
  return simple_step([=, launches = Launches(context.gpu(), out_of ? to : from),
                      count = cpu::elements(context.output().shape)](const Places& places) {
    launches.convert(places.inputs[0], places.outputs[0], count, to);
  });
}

std::unique_ptr<Step> make_movement(const StepContext& context) {
  const std::string& op = context.op();
  if (op == "transpose") return make_transpose(context);
  if (op == "concat") return make_concat(context);
  if (op == "split") return make_split(context);
  if (op == "slice") return make_slice(context);
  if (op == "expand") return make_expand(context);
  if (op == "channel_shuffle") return make_shuffle(context);
  if (op == "relayout") return make_relayout(context);
  if (op == "pad") return make_pad(context);
  if (op == "embedding") return make_embedding(context);
  return make_cast(context);
}

}  // namespace lutra::gpu
