// From int8 to int16 with an offset, in the order of memory. Cores with the DSP extension take four at a
// time.
#ifndef LUTRA_MCU_FIRMWARE_WIDEN_H
#define LUTRA_MCU_FIRMWARE_WIDEN_H

#include "arithmetic.h"

#if defined(__ARM_FEATURE_SIMD32)
#include <arm_acle.h>
#define LUTRA_DSP 1
#else
#define LUTRA_DSP 0
#endif

// Keeps a pointer in a register of its own: the compiler would rather derive it from another one, anew in
// every turn.
#define KEEP_IN_REGISTER(pointer) __asm__("" : "+r"(pointer))

// Everything before it is done, and the sums are in registers, before anything behind it is loaded: the
// compiler would rather load early, and then run out of registers.
#define SETTLE(a, b, c, d) __asm__ volatile("" : "+r"(a), "+r"(b), "+r"(c), "+r"(d) : : "memory")

INLINE uint32_t load_word(const void* address) {
  uint32_t word;
  __builtin_memcpy(&word, address, 4);
  return word;
}

INLINE void store_word(void* address, uint32_t word) { __builtin_memcpy(address, &word, 4); }

#if LUTRA_DSP

INLINE uint32_t rotate_right(uint32_t word, uint32_t bits) { return (word >> bits) | (word << (32 - bits)); }

// Bytes 0 and 2, and bytes 1 and 3, as signed halfwords: one instruction each.
INLINE uint32_t even_bytes(uint32_t bytes) { return (uint32_t)__sxtb16(bytes); }
INLINE uint32_t odd_bytes(uint32_t bytes) { return (uint32_t)__sxtb16(rotate_right(bytes, 8)); }

// Both bottom halfwords, and both top halfwords, first argument first: PKHBT and PKHTB.
INLINE uint32_t bottoms(uint32_t first, uint32_t second) { return (first & 0xFFFFu) | (second << 16); }
INLINE uint32_t tops(uint32_t first, uint32_t second) { return (first >> 16) | (second & 0xFFFF0000u); }

INLINE uint32_t both_halves(int32_t value) { return ((uint32_t)value & 0xFFFFu) | ((uint32_t)value << 16); }

#endif

// source[i] + offset to target[i].
void widen(const int8_t* source, int16_t* target, int32_t count, int32_t offset);

INLINE void clear(int16_t* target, int32_t count) { __builtin_memset(target, 0, 2 * (uint32_t)count); }

#endif
