// The entry convention between Lutra's MCU simulator and the int8 kernels of an engine, ours or a user's own.
//
// An engine is an ELF file for the core that exports `int32_t lutra_<kind>(const struct lutra_op*)` for every
// kind of op that it has, and returns 0. profiler/mcu/entry.py writes the block; docs/mcu-engine.md explains
// it.
//
// Tensors are int8 in NHWC with a batch of one. real = scale * (quantised - zero point), as TensorFlow Lite.
#ifndef LUTRA_MCU_FIRMWARE_LUTRA_OP_H
#define LUTRA_MCU_FIRMWARE_LUTRA_OP_H

#include <stdint.h>

// 32 words. A kind reads the fields that it needs; the others are zero.
struct lutra_op {
  const int8_t* input;
  const int8_t* input2;       // add
  const void* weights;        // int8 filters, the 256 int8 entries of a table, the 256 uint32 of a softmax
  const int32_t* bias;        // one per output channel
  const int32_t* multiplier;  // one per output channel, Q31 in [2^30, 2^31)
  const int32_t* shift;       // one per output channel, positive is left
  int8_t* output;
  void* scratch;  // 4-byte aligned, of as many bytes as Geometry.scratch_bytes says

  int32_t in_h, in_w, in_c;
  int32_t out_h, out_w, out_c;
  int32_t kernel_h, kernel_w;
  int32_t stride_h, stride_w;
  int32_t pad_top, pad_left;
  int32_t groups;  // grouped_conv2d, channel_shuffle

  int32_t input_offset;   // minus the zero point of the input
  int32_t output_offset;  // the zero point of the output
  int32_t activation_min, activation_max;

  int32_t input2_offset;                    // add
  int32_t input_multiplier, input_shift;    // add
  int32_t input2_multiplier, input2_shift;  // add
  int32_t output_multiplier, output_shift;  // one for the tensor: fully_connected, add, mean
};

#endif
