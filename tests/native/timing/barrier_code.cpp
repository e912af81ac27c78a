// Compiled to assembly by barrier_test.cmake; never run. WATCHED says whether the result passes the barrier.
#include "timing/barrier.hpp"

void work(double seed) {
  double value = seed;
  for (int step = 0; step < 1000; ++step) {
    value = value * value + 0.5;
    // Not volatile, so that the compiler may drop it with the value it belongs to: it is part of the work,
    // and leaves a line that can be found whatever the instruction set.
    asm("# work of a step" : "+g"(value));
  }
#ifdef WATCHED
  lutra::timing::do_not_optimize(value);
#endif
}
