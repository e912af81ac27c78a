#pragma once

#include <stdexcept>

namespace lutra::timing {

/// Ends a whole measurement, not just the entry that threw it: there is nothing left to measure on.
class Fatal : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Something that can be timed. One call of `run` is one timed execution.
///
/// Implementations do all their allocation, packing and planning before or during the first call: a later
/// call must not allocate, so that the warm-up absorbs every one-off cost and each following call does the
/// same work.
class Runnable {
 public:
  Runnable() = default;
  Runnable(const Runnable&) = delete;
  Runnable& operator=(const Runnable&) = delete;
  virtual ~Runnable() = default;

  virtual void run() = 0;

  /// Untimed work in front of each sample, such as rewriting what `run` reads as its producer would.
  virtual void before() {}
};

}  // namespace lutra::timing
