// What all kernels share: the element type, loads and stores, reductions, activations. No header of NVIDIA's is
// needed. LUTRA_ELEMENT is 0 for float32, 1 for float16, 2 for bfloat16, 3 for int8; arithmetic is always in float32.
//
// The native tests compile these files for the host: there LUTRA_KERNEL and the functions below whose names
// begin with "lutra_" come from tests/native/gpu/host.hpp.

#ifndef LUTRA_HOST
#define LUTRA_KERNEL(name) extern "C" __global__ void lutra_##name
#define LUTRA_DEVICE __device__ __forceinline__
#define LUTRA_SHARED __shared__
#define LUTRA_SYNC() __syncthreads()
LUTRA_DEVICE float lutra_shuffle_xor(float value, int mask) { return __shfl_xor_sync(0xffffffffu, value, mask); }
LUTRA_DEVICE float lutra_half_to_float(unsigned short bits) {
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits));
  return value;
}
LUTRA_DEVICE unsigned short lutra_float_to_half(float value) {
  unsigned short bits;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
  return bits;
}
LUTRA_DEVICE unsigned lutra_float_bits(float value) { return __float_as_uint(value); }
LUTRA_DEVICE float lutra_bits_float(unsigned bits) { return __uint_as_float(bits); }
#endif

/// Of activations in int8: from -8 to 7.94. csrc/gpu/content.hpp has the same.
#define LUTRA_INT8_STEP 0.0625f
LUTRA_DEVICE float float_of_int8(signed char value) { return static_cast<float>(value) * LUTRA_INT8_STEP; }
LUTRA_DEVICE signed char int8_of(float value) {
  return static_cast<signed char>(rintf(fminf(fmaxf(value * (1.0f / LUTRA_INT8_STEP), -128.0f), 127.0f)));
}

#if LUTRA_ELEMENT == 0
typedef float Element;
LUTRA_DEVICE float widen(Element value) { return value; }
LUTRA_DEVICE Element narrow(float value) { return value; }
LUTRA_KERNEL(of_float32)() {}  // tells whose module it is
#elif LUTRA_ELEMENT == 1
typedef unsigned short Element;
LUTRA_DEVICE float widen(Element value) { return lutra_half_to_float(value); }
LUTRA_DEVICE Element narrow(float value) { return lutra_float_to_half(value); }
LUTRA_KERNEL(of_float16)() {}
#elif LUTRA_ELEMENT == 3
typedef signed char Element;
LUTRA_DEVICE float widen(Element value) { return float_of_int8(value); }
LUTRA_DEVICE Element narrow(float value) { return int8_of(value); }
LUTRA_KERNEL(of_int8)() {}
#else
typedef unsigned short Element;
LUTRA_DEVICE float widen(Element value) { return lutra_bits_float(static_cast<unsigned>(value) << 16); }
LUTRA_DEVICE Element narrow(float value) {
  const unsigned bits = lutra_float_bits(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<Element>((bits >> 16) | 0x40u);  // NaN stays NaN
  return static_cast<Element>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);  // to the nearest, ties to even
}
LUTRA_KERNEL(of_bfloat16)() {}
#endif

/// What is kept beside tensors: biases, and filters of our own convolutions. In int8 a bias is in steps of the
/// activations, and filters have a scale of their own.
#if LUTRA_ELEMENT == 3
typedef float Vector;
LUTRA_DEVICE float widen_vector(Vector value) { return value * LUTRA_INT8_STEP; }
LUTRA_DEVICE float widen_filter(Element value) { return static_cast<float>(value) * (1.0f / 128.0f); }
#else
typedef Element Vector;
LUTRA_DEVICE float widen_vector(Vector value) { return widen(value); }
LUTRA_DEVICE float widen_filter(Element value) { return widen(value); }
#endif

/// What one load of 16 bytes brings.
#define LUTRA_PACK (16 / static_cast<int>(sizeof(Element)))
struct alignas(16) Pack {
  Element values[LUTRA_PACK];
};

#define LUTRA_THREAD (blockIdx.x * blockDim.x + threadIdx.x)
#define LUTRA_THREADS (gridDim.x * blockDim.x)

/// Numbers of the functions; csrc/gpu/functions.hpp has the same.
enum Unary {
  kIdentity, kRelu, kRelu6, kLeakyRelu, kHardSigmoid, kHardSwish, kSigmoid, kSilu, kGelu, kGeluTanh, kTanh, kExp,
  kSqrt, kErf, kNeg, kAbs, kClip
};
enum Binary { kAdd, kSub, kMul, kDiv, kPow };
enum Reduction { kSum, kMax };

LUTRA_DEVICE float clamp(float value, float low, float high) { return fminf(fmaxf(value, low), high); }

LUTRA_DEVICE float unary_of(int function, float x, float a, float b) {
  switch (function) {
    case kRelu: return fmaxf(x, 0.0f);
    case kRelu6: return clamp(x, 0.0f, 6.0f);
    case kLeakyRelu: return x > 0.0f ? x : a * x;
    case kHardSigmoid: return clamp(x * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f);
    case kHardSwish: return x * clamp(x * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f);
    case kSigmoid: return 1.0f / (1.0f + expf(-x));
    case kSilu: return x / (1.0f + expf(-x));
    case kGelu: return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case kGeluTanh: return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case kTanh: return tanhf(x);
    case kExp: return expf(x);
    case kSqrt: return sqrtf(x);
    case kErf: return erff(x);
    case kNeg: return -x;
    case kAbs: return fabsf(x);
    case kClip: return clamp(x, a, b);
    default: return x;
  }
}

LUTRA_DEVICE float binary_of(int function, float a, float b) {
  switch (function) {
    case kAdd: return a + b;
    case kSub: return a - b;
    case kMul: return a * b;
    case kDiv: return a / b;
    default: return powf(a, b);
  }
}

LUTRA_DEVICE float reduced_of(int reduction, float a, float b) { return reduction == kMax ? fmaxf(a, b) : a + b; }
LUTRA_DEVICE float reduction_start(int reduction) { return reduction == kMax ? -3.4028235e38f : 0.0f; }

/// The sum or maximum over the threads of one row: blockDim.x of them, a power of two from 32 to 1024. Every
/// thread of the block takes part.
LUTRA_DEVICE float reduce_row(float value, int reduction) {
  LUTRA_SHARED float partial[32];
  for (int mask = 16; mask > 0; mask >>= 1)
    value = reduced_of(reduction, value, lutra_shuffle_xor(value, mask));
  if (blockDim.x <= 32) return value;
  const int warps = blockDim.x / 32;
  LUTRA_SYNC();  // nobody still reads what was there
  if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
  LUTRA_SYNC();
  value = partial[0];
  for (int warp = 1; warp < warps; ++warp) value = reduced_of(reduction, value, partial[warp]);
  return value;
}
