#pragma once

#include "cpu/kernels/window2d.hpp"
#include "cpu/ops/step.hpp"

namespace lutra::cpu {

/// Reads the attribute layout: "nchw" (default) or "nchw8c", which is N x C/8 x H x W x 8.
bool is_blocked(Step& step);

/// N x C x H x W in blocks: N x ceil(C / 8) x H x W x 8.
Shape blocked_shape(const Shape& plain);

/// N x C x H x W of an input that holds `channels` channels in blocks; fails where it cannot.
Shape plain_shape(const Step& step, int64_t channels);

/// Fails where the places that all windows read are too many to list.
void expect_listable(const Step& step, const Window2d& window);

}  // namespace lutra::cpu
