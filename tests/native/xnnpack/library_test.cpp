#include "xnnpack/library.hpp"

#include <stdexcept>
#include <string>

#include "check.hpp"

using namespace lutra::xnnpack;

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
  CHECK(reason_for("/nowhere/libxnnpack.so").starts_with("cannot load XNNPACK: /nowhere/libxnnpack.so"));
}

void another_library_is_told_by_what_it_lacks() {
  CHECK(reason_for("libm.so.6") == "the XNNPACK in 'libm.so.6' has no xnn_initialize");
}

void every_status_has_a_name() {
  CHECK(status_name(kInvalidParameter) == std::string("invalid parameter"));
  CHECK(status_name(kUnsupportedHardware) == std::string("unsupported hardware"));
  CHECK(status_name(static_cast<Status>(99)) == std::string("unknown status"));
}

}  // namespace

int main() {
  a_missing_file_is_named();
  another_library_is_told_by_what_it_lacks();
  every_status_has_a_name();
  return lutra::check::finish();
}
