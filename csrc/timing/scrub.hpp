#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "timing/runnable.hpp"

namespace lutra::timing {

/// A buffer that is written through to push everything else out of the caches.
class Scrubber {
 public:
  explicit Scrubber(std::size_t bytes) : lines_(bytes) {}

  void scrub();

 private:
  std::vector<unsigned char> lines_;
  unsigned char pass_ = 0;
};

/// Another runnable with cold caches: the scrubber passes, untimed, in front of each sample.
class ScrubbedRunnable final : public Runnable {
 public:
  ScrubbedRunnable(std::shared_ptr<Runnable> inner, std::shared_ptr<Scrubber> scrubber)
      : inner_(std::move(inner)), scrubber_(std::move(scrubber)) {}

  void run() override { inner_->run(); }
  void before() override {
    inner_->before();
    scrubber_->scrub();
  }

 private:
  std::shared_ptr<Runnable> inner_;
  std::shared_ptr<Scrubber> scrubber_;
};

}  // namespace lutra::timing
