#include "widen.h"

void widen(const int8_t* source, int16_t* target, int32_t count, int32_t offset) {
#if LUTRA_DSP
  const uint32_t offsets = both_halves(offset);
  for (int32_t quads = count >> 2; quads > 0; --quads) {
    const uint32_t bytes = load_word(source);
    const uint32_t even = (uint32_t)__sxtab16(offsets, bytes);
    const uint32_t odd = (uint32_t)__sxtab16(offsets, rotate_right(bytes, 8));
    store_word(target, bottoms(even, odd));
    store_word(target + 2, tops(even, odd));
    source += 4;
    target += 4;
  }
  count &= 3;
#endif
  for (; count > 0; --count) *target++ = (int16_t)(*source++ + offset);
}
