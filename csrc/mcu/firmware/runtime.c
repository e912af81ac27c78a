// What the compiler expects of a C library and of its own run-time library, so that an image needs neither.
#include "arithmetic.h"

// The compiler must not find in these the calls that they stand for.
#define LIBRARY __attribute__((used, no_builtin))

const char lutra_engine[] __attribute__((used, section(".rodata.lutra_engine"))) = "lutra int8 kernels";

LIBRARY void* memset(void* target, int value, __SIZE_TYPE__ count) {
  uint8_t* bytes = target;
  const uint32_t word = (uint8_t)value * 0x01010101u;
  for (; count > 0 && ((uintptr_t)bytes & 3); --count) *bytes++ = (uint8_t)value;
  uint32_t* words = (uint32_t*)bytes;
  for (; count >= 16; count -= 16, words += 4) words[0] = words[1] = words[2] = words[3] = word;
  for (; count >= 4; count -= 4) *words++ = word;
  bytes = (uint8_t*)words;
  for (; count > 0; --count) *bytes++ = (uint8_t)value;
  return target;
}

LIBRARY void* memcpy(void* target, const void* source, __SIZE_TYPE__ count) {
  uint8_t* to = target;
  const uint8_t* from = source;
  for (; count >= 4; count -= 4, to += 4, from += 4) __builtin_memcpy(to, from, 4);
  for (; count > 0; --count) *to++ = *from++;
  return target;
}

#if defined(__arm__)

LIBRARY void __aeabi_memcpy(void* target, const void* source, __SIZE_TYPE__ count) {
  memcpy(target, source, count);
}
LIBRARY void __aeabi_memset(void* target, __SIZE_TYPE__ count, int value) { memset(target, value, count); }
LIBRARY void __aeabi_memclr(void* target, __SIZE_TYPE__ count) { memset(target, 0, count); }

#if defined(__ARM_ARCH_6M__)

// ARMv6-M has neither a long multiplication nor a division.
LIBRARY int64_t __aeabi_lmul(int64_t a, int64_t b) {
  const uint32_t a0 = (uint16_t)a, a1 = (uint32_t)a >> 16, b0 = (uint16_t)b, b1 = (uint32_t)b >> 16;
  const uint32_t low = a0 * b0, cross = a1 * b0 + (low >> 16), middle = a0 * b1 + (uint16_t)cross;
  const uint32_t high = a1 * b1 + (cross >> 16) + (middle >> 16) + (uint32_t)(a >> 32) * (uint32_t)b +
                        (uint32_t)a * (uint32_t)(b >> 32);
  return (int64_t)((uint64_t)high << 32 | middle << 16 | (uint16_t)low);
}

LIBRARY uint32_t __aeabi_uidiv(uint32_t dividend, uint32_t divisor) {
  uint32_t quotient = 0, bit = 1;
  while (divisor < dividend && !(divisor >> 31)) divisor <<= 1, bit <<= 1;
  for (; bit; bit >>= 1, divisor >>= 1) {
    if (dividend >= divisor) dividend -= divisor, quotient |= bit;
  }
  return quotient;
}

LIBRARY int32_t __aeabi_idiv(int32_t dividend, int32_t divisor) {
  const uint32_t a = dividend < 0 ? 0u - (uint32_t)dividend : (uint32_t)dividend;
  const uint32_t b = divisor < 0 ? 0u - (uint32_t)divisor : (uint32_t)divisor;
  const uint32_t quotient = __aeabi_uidiv(a, b);
  return (int32_t)((dividend ^ divisor) < 0 ? 0u - quotient : quotient);
}

#endif

#endif
