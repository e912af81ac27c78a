#include <pybind11/stl.h>

#include "isa/isa.hpp"
#include "luts/bindings/bindings.hpp"

PYBIND11_MODULE(_native, module) {
  module.doc() = "Questions to tables in bulk. Wrapped by lutra.luts; not a public interface.";
  bind_costs(module);
  bind_index(module);
  module.def("available_isas", [] {
    std::vector<std::string> names;
    for (const lutra::Isa isa : lutra::available_isas()) names.emplace_back(lutra::isa_name(isa));
    return names;
  });
}
