#pragma once

namespace lutra::timing {

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
