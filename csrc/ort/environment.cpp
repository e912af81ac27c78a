#include "ort/environment.hpp"

#include <map>
#include <mutex>
#include <stdexcept>
#include <string>

namespace lutra::ort {
namespace {

constexpr const char* kLogId = "lutra";

Env create_env(const Library& library, int threads) {
  if (threads == 1) return create<Env, slot::CreateEnv>(library, kLogError, kLogId);
  const auto options = create<ThreadingOptions, slot::CreateThreadingOptions>(library);
  library.call<slot::SetGlobalIntraOpNumThreads>(options.get(), threads);
  library.call<slot::SetGlobalInterOpNumThreads>(options.get(), 1);
  return create<Env, slot::CreateEnvWithGlobalThreadPools>(
      library, kLogError, kLogId, static_cast<const OrtThreadingOptions*>(options.get()));
}

}  // namespace

std::shared_ptr<Environment> Environment::open(std::shared_ptr<const Library> library, int threads) {
  if (threads < 1) throw std::invalid_argument("threads must be at least 1");
  // Mirrors the library's own singleton: its second "new" environment silently is the first one.
  static std::mutex mutex;
  static std::map<const void*, std::weak_ptr<Environment>> living;
  const std::lock_guard lock(mutex);
  std::weak_ptr<Environment>& current = living[library->table()];
  if (std::shared_ptr<Environment> existing = current.lock()) {
    if (existing->threads() == threads) return existing;
    throw std::runtime_error("ONNX Runtime already runs with " + std::to_string(existing->threads()) +
                             " thread(s) in this process; use another process for " +
                             std::to_string(threads));
  }
  std::shared_ptr<Environment> created(new Environment(std::move(library), threads));
  current = created;
  return created;
}

Environment::Environment(std::shared_ptr<const Library> library, int threads)
    : library_(std::move(library)), threads_(threads), env_(create_env(*library_, threads)) {
  memory_ = create<MemoryInfo, slot::CreateCpuMemoryInfo>(*library_, kDeviceAllocator, kMemTypeDefault);
  const auto arena =
      create<MemoryInfo, slot::CreateCpuMemoryInfo>(*library_, kArenaAllocator, kMemTypeDefault);
  library_->call<slot::CreateAndRegisterAllocator>(env_.get(), static_cast<const OrtMemoryInfo*>(arena.get()),
                                                   static_cast<const OrtArenaCfg*>(nullptr));
}

}  // namespace lutra::ort
