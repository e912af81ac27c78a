#include "onednn/environment.hpp"

#include <stdexcept>
#include <utility>

namespace lutra::onednn {
namespace {

int checked(int threads) {
  if (threads < 1) throw std::invalid_argument("threads must be at least 1");
  return threads;
}

}  // namespace

Environment::Environment(std::shared_ptr<const Library> library, int threads)
    : library_(std::move(library)), threads_(checked(threads)) {
  enter();
  const Api& api = library_->api();
  engine_ = create<Engine>(*library_, "an engine", api.engine_create, kCpu, std::size_t{0});
  stream_ = create<Stream>(*library_, "a stream", api.stream_create, engine_.get(), unsigned{kInOrder});
}

}  // namespace lutra::onednn
