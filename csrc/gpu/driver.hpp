#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/api/cuda.hpp"
#include "gpu/errors.hpp"
#include "gpu/shared_library.hpp"

namespace lutra::gpu {

/// What the driver says of one GPU.
struct DeviceInfo {
  int index = 0;
  std::string name;
  int architecture = 0;  ///< 90 for compute capability 9.0
  int multiprocessors = 0;
  int clock_khz = 0;  ///< highest of the multiprocessors; 0 where it does not say
  int memory_clock_khz = 0;
  int bus_bits = 0;
  std::int64_t l2_bytes = 0;
  std::int64_t memory_bytes = 0;
  std::string pci_bus_id;
};

/// NVIDIA's driver, opened and initialised.
class Driver {
 public:
  /// @throws std::runtime_error where there is no driver, it has no GPU, or does not work; says what to do.
  explicit Driver(const Candidates& candidates);

  [[nodiscard]] const cuda::Api& api() const { return api_; }
  [[nodiscard]] const std::string& path() const { return library_.path(); }
  /// Newest CUDA version that the driver runs: 13000 for 13.0.
  [[nodiscard]] int cuda_version() const { return cuda_version_; }
  [[nodiscard]] std::vector<DeviceInfo> devices() const;

  /// Turns a result into an exception that says what was being done.
  /// @throws GpuLost, std::runtime_error.
  void check(cuda::Result result, std::string_view what) const {
    if (result != cuda::kSuccess) [[unlikely]]
      raise(result, what);
  }
  [[noreturn]] void raise(cuda::Result result, std::string_view what) const;

 private:
  [[nodiscard]] DeviceInfo device(int index) const;
  [[nodiscard]] int attribute(int attribute, cuda::Device device) const;

  SharedLibrary library_;
  cuda::Api api_{};
  int cuda_version_ = 0;
};

/// "13.0" for 13000.
std::string cuda_version_text(int version);

}  // namespace lutra::gpu
