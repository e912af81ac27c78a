#include "mcu/machine.hpp"

#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <cstdint>
#include <initializer_list>
#include <stdexcept>
#include <string>
#include <string_view>
#include <variant>

#include "bindings/bindings.hpp"
#include "mcu/trap.hpp"

namespace py = pybind11;
using namespace lutra::mcu;

namespace {

/// The entries of a dict, each of which must be asked for.
class Entries {
 public:
  Entries(std::string name, py::dict dict) : name_(std::move(name)), dict_(std::move(dict)) {}

  /// Sets `value` where the dict has the key.
  template <class Value>
  void take(const char* key, Value& value) {
    if (!dict_.contains(key)) return;
    try {
      value = dict_[key].cast<Value>();
    } catch (const py::cast_error&) {
      throw std::invalid_argument(
          name_ + "." + key + ": wrong type, or out of range: " + py::repr(dict_[key]).cast<std::string>());
    }
  }

  template <class Value>
  Value required(const char* key) {
    if (!dict_.contains(key)) throw std::invalid_argument(name_ + ": '" + key + "' is missing");
    Value value{};
    take(key, value);
    return value;
  }

  /// To be called last, with all keys there are.
  void refuse_others(std::initializer_list<std::string_view> known) const {
    for (const auto& [key, value] : dict_) {
      const auto name = py::str(key).cast<std::string>();
      if (std::find(known.begin(), known.end(), name) == known.end()) refuse(name, known);
    }
  }

 private:
  [[noreturn]] void refuse(const std::string& key, std::initializer_list<std::string_view> known) const {
    std::string message = name_;
    message.append(": unknown key '").append(key).append("'; known:");
    for (const std::string_view name : known) message.append(" ").append(name);
    throw std::invalid_argument(message);
  }

  std::string name_;
  py::dict dict_;
};

FlashBoard flash_of(const py::dict& dict) {
  Entries entries("board.flash", dict);
  FlashBoard flash;
  flash.base = entries.required<uint32_t>("base");
  flash.size = entries.required<uint32_t>("size");
  entries.take("wait_states", flash.wait_states);
  entries.take("line_bytes", flash.line_bytes);
  entries.take("i_lines", flash.i_lines);
  entries.take("d_lines", flash.d_lines);
  entries.take("prefetch", flash.prefetch);
  entries.take("d_extra", flash.d_extra);
  entries.refuse_others(
      {"base", "size", "wait_states", "line_bytes", "i_lines", "d_lines", "prefetch", "d_extra"});
  return flash;
}

RamBoard ram_of(const py::dict& dict) {
  Entries entries("board.ram", dict);
  RamBoard ram;
  ram.base = entries.required<uint32_t>("base");
  ram.size = entries.required<uint32_t>("size");
  entries.take("tcm", ram.tcm);
  entries.refuse_others({"base", "size", "tcm"});
  return ram;
}

CacheBoard cache_of(const std::string& name, const py::dict& dict) {
  Entries entries(name, dict);
  CacheBoard cache;
  cache.bytes = entries.required<uint32_t>("bytes");
  cache.ways = entries.required<uint32_t>("ways");
  entries.take("line_bytes", cache.line_bytes);
  entries.refuse_others({"bytes", "ways", "line_bytes"});
  return cache;
}

Board board_of(const py::dict& dict) {
  Entries entries("board", dict);
  Board board;
  board.core = core_named(entries.required<std::string>("core"));
  board.flash = flash_of(entries.required<py::dict>("flash"));
  for (const py::handle ram : entries.required<py::list>("ram"))
    board.ram.push_back(ram_of(ram.cast<py::dict>()));
  entries.take("fpu", board.fpu);
  entries.take("bus_divider", board.bus_divider);
  py::dict cache;
  entries.take("icache", cache);
  if (!cache.empty()) board.icache = cache_of("board.icache", cache);
  cache = py::dict();
  entries.take("dcache", cache);
  if (!cache.empty()) board.dcache = cache_of("board.dcache", cache);
  entries.refuse_others({"core", "fpu", "flash", "ram", "icache", "dcache", "bus_divider"});
  return board;
}

std::vector<uint8_t> bytes_of(const py::buffer& buffer) {
  const py::buffer_info info = buffer.request();
  const auto count = static_cast<size_t>(info.size * info.itemsize);
  if (!PyBuffer_IsContiguous(info.view(), 'C')) throw std::invalid_argument("the buffer must be contiguous");
  const auto* first = static_cast<const uint8_t*>(info.ptr);
  return {first, first + count};
}

uint32_t address_of(const Machine& machine, const std::variant<uint32_t, std::string>& function) {
  if (const auto* address = std::get_if<uint32_t>(&function)) return *address;
  const std::string& name = std::get<std::string>(function);
  const auto found = machine.symbols().find(name);
  if (found == machine.symbols().end())
    throw py::key_error("the program has no symbol '" + name +
                        "'; was it stripped, or built without this function?");
  return found->second.address;
}

/// The names in a file are bytes; what is not UTF-8 is replaced.
py::str text_of(const std::string& name) {
  PyObject* text = PyUnicode_DecodeUTF8(name.data(), static_cast<Py_ssize_t>(name.size()), "replace");
  if (!text) throw py::error_already_set();
  return py::reinterpret_steal<py::str>(text);
}

py::dict dict_of(const CallResult& result) {
  const Stalls& stalls = result.stalls;
  py::dict split;
  split["issue"] = result.cycles - stalls.total();
  split["fetch"] = stalls.fetch;
  split["data"] = stalls.data;
  split["branch"] = stalls.branch;
  split["interlock"] = stalls.interlock;
  split["multicycle"] = stalls.multicycle;
  py::dict dict;
  dict["cycles"] = result.cycles;
  dict["instructions"] = result.instructions;
  dict["r0"] = result.value;
  dict["stalls"] = split;
  return dict;
}

std::vector<uint32_t> words_of(const py::args& arguments) {
  std::vector<uint32_t> words;
  for (const py::handle argument : arguments) {
    try {
      words.push_back(argument.cast<uint32_t>());
    } catch (const py::cast_error&) {
      throw py::type_error("arguments are numbers from 0 to 2^32 - 1, not " +
                           py::repr(argument).cast<std::string>());
    }
  }
  return words;
}

py::dict call(Machine& machine, const std::variant<uint32_t, std::string>& function,
              const py::args& arguments, uint64_t cycle_limit) {
  const std::vector<uint32_t> values = words_of(arguments);
  const uint32_t address = address_of(machine, function);
  CallResult result;
  {
    const py::gil_scoped_release released;
    result = machine.call(address, values, cycle_limit);
  }
  return dict_of(result);
}

/// Adds the exception class Trap with the attributes kind, pc and address.
void bind_trap(py::module_& module) {
  PYBIND11_CONSTINIT static py::gil_safe_call_once_and_store<py::object> storage;
  storage.call_once_and_store_result([&] {
    const auto name = module.attr("__name__").cast<std::string>() + ".Trap";
    return py::reinterpret_steal<py::object>(PyErr_NewException(name.c_str(), PyExc_RuntimeError, nullptr));
  });
  module.attr("Trap") = storage.get_stored();
  py::register_exception_translator([](std::exception_ptr pointer) {
    try {
      if (pointer) std::rethrow_exception(pointer);
    } catch (const Trap& trap) {
      const py::object type = storage.get_stored();
      const py::object exception = type(trap.what());
      exception.attr("kind") = std::string(trap_name(trap.kind()));
      exception.attr("pc") = trap.pc();
      exception.attr("address") = trap.address();
      PyErr_SetObject(type.ptr(), exception.ptr());
    }
  });
}

}  // namespace

void bind_mcu(py::module_& module) {
  py::module_ mcu = module.def_submodule("mcu", "Simulated microcontrollers.");
  bind_trap(mcu);
  py::register_exception<ElfError>(mcu, "ElfError", PyExc_ValueError);
  py::class_<Machine>(mcu, "Machine")
      .def(py::init([](const py::buffer& elf, const py::dict& board) {
             return std::make_unique<Machine>(bytes_of(elf), board_of(board));
           }),
           py::arg("elf"), py::arg("board"))
      .def_property_readonly("symbols",
                             [](const Machine& machine) {
                               py::dict symbols;
                               for (const auto& [name, symbol] : machine.symbols())
                                 symbols[text_of(name)] = symbol.address;
                               return symbols;
                             })
      .def(
          "write",
          [](Machine& machine, uint32_t address, const py::buffer& bytes) {
            machine.write(address, bytes_of(bytes));
          },
          py::arg("address"), py::arg("bytes"))
      .def(
          "read",
          [](const Machine& machine, uint32_t address, uint32_t count) {
            const std::vector<uint8_t> bytes = machine.read(address, count);
            return py::bytes(reinterpret_cast<const char*>(bytes.data()), bytes.size());
          },
          py::arg("address"), py::arg("count"))
      .def("call", &call, py::arg("function"), py::kw_only(), py::arg("cycle_limit"));
}
