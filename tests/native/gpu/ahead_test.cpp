// Kernels that were compiled when Lutra was built, on the stand-in of a GPU, without a compiler; or, in a
// build without them, what is said then. The stand-in's path is given.

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "gpu/ahead.hpp"
#include "gpu/program.hpp"

using namespace lutra::gpu;

namespace {

constexpr int kNewest = 99'000;  // a driver that runs all

void without() {
  CHECK(ahead_architectures().empty());
  CHECK(!ahead_runs(90, kNewest));
  CHECK(ahead_image(0).empty());
}

/// relu of -1, 0, 1, 2 in one element type.
std::vector<float> relu(const Libraries& libraries, Element element) {
  Program program(libraries, {{"x", {4}, element, Role::kInput}, {"y", {4}, element, Role::kOutput}},
                  {{"relu", {"x"}, {"y"}, {}}}, 1, 0);
  const std::vector<float> x = {-1.0F, 0.0F, 1.0F, 2.0F};
  program.set_input("x", {4}, x.data());
  program.enqueue(0);
  return program.content("y").values;
}

void with(const std::shared_ptr<const Driver>& driver) {
  CHECK(ahead_runs(90, kNewest));
  CHECK(ahead_runs(80, kNewest) == ahead_runs(89, kNewest));  // of one generation
  CHECK(!ahead_runs(75, kNewest));
  CHECK(!ahead_runs(90, 11'080));  // an older driver
  const auto gpu = std::make_shared<const Gpu>(driver, nullptr, 0);
  CHECK(gpu->compiler() == "nvcc " + ahead_compiler() + ", ahead of time");
  CHECK(gpu->tool("nothing") != nullptr);
  const Libraries libraries{
      .gpu = gpu, .blas = nullptr, .dnn = nullptr, .blas_missing = "none", .dnn_missing = "none"};
  for (const Element element : {Element::kFloat32, Element::kFloat16, Element::kBfloat16, Element::kInt8})
    CHECK(relu(libraries, element) == std::vector<float>({0.0F, 0.0F, 1.0F, 2.0F}));
}

}  // namespace

int main(int, char** argv) {
  const auto driver = std::make_shared<const Driver>(Candidates{{}, {argv[1]}});
  if (ahead_compiler().empty()) {
    without();
    CHECK_THROWS(std::runtime_error, Gpu(driver, nullptr, 0));
  } else {
    with(driver);
  }
  return lutra::check::finish();
}
