#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "gpu/compiler.hpp"
#include "gpu/driver.hpp"

namespace lutra::gpu {

/// Element types of tensors; the first four are those that our kernels compute on, by `LUTRA_ELEMENT`.
enum class Element { kFloat32, kFloat16, kBfloat16, kInt8, kInt64, kFloat8, kInt32 };

/// "float32", "float16", "bfloat16", "int8", "int64" or "float8" (e4m3). @throws std::invalid_argument for
/// every other name.
Element element_named(std::string_view name);
std::size_t element_bytes(Element element);

class Gpu;

/// Memory of a GPU.
class Memory {
 public:
  Memory() = default;
  /// @throws OutOfGpuMemory with both sizes.
  Memory(std::shared_ptr<const Gpu> gpu, std::size_t bytes);
  Memory(Memory&& other) noexcept;
  Memory& operator=(Memory&& other) noexcept;
  ~Memory();

  [[nodiscard]] cuda::Pointer pointer() const { return pointer_; }
  [[nodiscard]] std::size_t bytes() const { return bytes_; }

 private:
  std::shared_ptr<const Gpu> gpu_;
  cuda::Pointer pointer_ = 0;
  std::size_t bytes_ = 0;
};

/// Two marks in a stream, and the time between them.
class Stopwatch {
 public:
  explicit Stopwatch(const Gpu& gpu);
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;
  ~Stopwatch();

  void start() const;
  void stop() const;
  /// Waits for the second mark. Nanoseconds; the driver counts in about half a microsecond.
  [[nodiscard]] std::int64_t elapsed_ns() const;

 private:
  const Gpu& gpu_;
  cuda::Event begin_ = nullptr;
  cuda::Event end_ = nullptr;
};

/// What was captured of a stream, to be launched again and again.
class Recording {
 public:
  /// @param work enqueues on the GPU's stream; it must not allocate or wait.
  template <typename Work>
  Recording(const Gpu& gpu, Work&& work) : gpu_(gpu) {
    begin();
    try {
      work();
    } catch (...) {
      abandon();
      throw;
    }
    end();
  }
  Recording(const Recording&) = delete;
  Recording& operator=(const Recording&) = delete;
  ~Recording();

  void launch() const;

 private:
  void begin() const;
  void abandon() const;
  void end();

  const Gpu& gpu_;
  cuda::GraphExec executable_ = nullptr;
};

/// One GPU: its context, the one stream that everything runs on, and our kernels compiled for it.
class Gpu {
 public:
  /// @param compiler of our kernels; null where they were compiled ahead of time (`ahead_runs`), which comes
  /// first.
  /// @param index among the GPUs that the driver shows.
  /// @throws std::runtime_error as the driver reports, or where there is no such GPU.
  Gpu(std::shared_ptr<const Driver> driver, std::shared_ptr<const Compiler> compiler, int index);
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;
  ~Gpu();

  [[nodiscard]] const DeviceInfo& info() const { return info_; }
  [[nodiscard]] const Driver& driver() const { return *driver_; }
  [[nodiscard]] const cuda::Api& api() const { return driver_->api(); }
  [[nodiscard]] cuda::Stream stream() const { return stream_; }
  void check(cuda::Result result, std::string_view what) const { driver_->check(result, what); }

  /// Makes the context that of the calling thread: contexts belong to threads.
  void enter() const;
  void synchronize() const;
  [[nodiscard]] std::size_t free_bytes() const;

  /// One of our kernels, without the prefix "lutra_" of its name, for an element type. Compiled when first
  /// asked for.
  [[nodiscard]] cuda::Function kernel(Element element, const char* name) const;
  /// One of the protocol's own kernels.
  [[nodiscard]] cuda::Function tool(const char* name) const;

  struct Grid {
    unsigned x = 1, y = 1, z = 1;
  };
  /// Puts a kernel on the stream; its arguments must have exactly the types of its parameters.
  template <typename... Arguments>
  void launch(cuda::Function function, Grid blocks, Grid threads, const Arguments&... arguments) const {
    std::array<void*, sizeof...(arguments)> pointers = {
        const_cast<void*>(static_cast<const void*>(&arguments))...};
    check(api().LaunchKernel(function, blocks.x, blocks.y, blocks.z, threads.x, threads.y, threads.z, 0,
                             stream_, pointers.data(), nullptr),
          "launching a kernel");
  }
  /// The same for a kernel without arguments.
  void launch(cuda::Function function, Grid blocks, Grid threads) const {
    check(api().LaunchKernel(function, blocks.x, blocks.y, blocks.z, threads.x, threads.y, threads.z, 0,
                             stream_, nullptr, nullptr),
          "launching a kernel");
  }

  /// What compiled our kernels: "NVRTC 13.0", "nvcc 13.0, ahead of time".
  [[nodiscard]] std::string compiler() const;

  void upload(cuda::Pointer to, const void* from, std::size_t bytes) const;
  void download(void* to, cuda::Pointer from, std::size_t bytes) const;

 private:
  [[nodiscard]] cuda::Module module(int key) const;

  std::shared_ptr<const Driver> driver_;
  std::shared_ptr<const Compiler> compiler_;
  DeviceInfo info_;
  bool ahead_ = false;
  cuda::Context context_ = nullptr;
  cuda::Stream stream_ = nullptr;
  mutable std::map<int, cuda::Module> modules_;
  mutable std::map<std::pair<int, std::string>, cuda::Function> functions_;
};

}  // namespace lutra::gpu
