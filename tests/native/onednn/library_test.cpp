#include "onednn/library.hpp"

#include <stdexcept>
#include <string>

#include "check.hpp"
#include "onednn/layout.hpp"
#include "onednn/step.hpp"

using namespace lutra::onednn;

namespace {

std::string reason_for(const std::string& path) {
  try {
    const Library library(path);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "";
}

void a_missing_file_is_named() {
  CHECK(reason_for("/nowhere/libdnnl.so.3").starts_with("cannot load oneDNN: /nowhere/libdnnl.so.3"));
}

void another_library_is_told_by_what_it_lacks() {
  CHECK(reason_for("libm.so.6") ==
        "'libm.so.6' is not an oneDNN library with OpenMP (it has no dnnl_version)");
}

void unknown_names_are_refused() {
  CHECK(layout_named("blocked8") == Layout::kBlocked8);
  CHECK_THROWS(std::invalid_argument, layout_named("blocked7"));
  CHECK(eltwise_named("relu") == kRelu);
  CHECK_THROWS(std::invalid_argument, eltwise_named("relu7"));
  CHECK_THROWS(std::invalid_argument, binary_named("xor"));
}

void strides_are_of_rows() { CHECK((plain_strides({2, 3, 4}) == Shape{12, 4, 1})); }

}  // namespace

int main() {
  a_missing_file_is_named();
  another_library_is_told_by_what_it_lacks();
  unknown_names_are_refused();
  strides_are_of_rows();
  return lutra::check::finish();
}
