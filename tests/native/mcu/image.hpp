#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

// Little programs for the tests of the simulators: a board, and ELF files around given code.
namespace lutra::mcu::testing {

inline constexpr uint32_t kFlashBase = 0x08000000;
inline constexpr uint32_t kRamBase = 0x20000000;
inline constexpr uint16_t kReturn = 0x4770;  // BX lr

template <class Value>
void append(std::vector<uint8_t>& bytes, Value value) {
  const size_t at = bytes.size();
  bytes.resize(at + sizeof(Value));
  std::memcpy(bytes.data() + at, &value, sizeof(Value));
}

/// Code that is loaded somewhere, with its names.
struct Image {
  std::vector<uint8_t> code;
  uint32_t base = kFlashBase;
  std::vector<std::pair<std::string, uint32_t>> symbols = {};
  uint16_t machine = 40;
};

inline Image image_of(std::initializer_list<uint16_t> halfwords, uint32_t base = kFlashBase) {
  Image image;
  image.base = base;
  for (const uint16_t halfword : halfwords) append(image.code, halfword);
  return image;
}

/// The smallest ELF file with one code segment and a symbol table.
inline std::vector<uint8_t> elf_of(const Image& image) {
  constexpr uint32_t kHeaders = 52 + 32;
  std::vector<uint8_t> table(16);
  std::vector<uint8_t> names(1);
  for (const auto& [name, address] : image.symbols) {
    append(table, static_cast<uint32_t>(names.size()));
    append(table, address);
    append(table, uint32_t{0});
    append(table, uint8_t{0x12});  // a global function
    append(table, uint8_t{0});
    append(table, uint16_t{1});
    names.insert(names.end(), name.begin(), name.end());
    names.push_back(0);
  }
  const auto code_bytes = static_cast<uint32_t>(image.code.size());
  const auto table_bytes = static_cast<uint32_t>(table.size());
  const auto names_bytes = static_cast<uint32_t>(names.size());
  const uint32_t sections = kHeaders + code_bytes + table_bytes + names_bytes;

  std::vector<uint8_t> file = {0x7F, 'E', 'L', 'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  for (const uint16_t value : {uint16_t{2}, image.machine}) append(file, value);
  for (const uint32_t value : {1U, image.base, 52U, sections, 0U}) append(file, value);
  for (const int value : {52, 32, 1, 40, 4, 0}) append(file, static_cast<uint16_t>(value));
  for (const uint32_t value : {1U, kHeaders, image.base, image.base, code_bytes, code_bytes, 5U, 4U})
    append(file, value);
  for (const std::span<const uint8_t> part :
       {std::span(image.code), std::span<const uint8_t>(table), std::span<const uint8_t>(names)})
    file.insert(file.end(), part.begin(), part.end());
  file.resize(file.size() + 80);  // the null section, and that of the code
  for (const uint32_t value : {0U, 2U, 0U, 0U, kHeaders + code_bytes, table_bytes, 3U, 1U, 4U, 16U})
    append(file, value);
  for (const uint32_t value :
       {0U, 3U, 0U, 0U, kHeaders + code_bytes + table_bytes, names_bytes, 0U, 0U, 1U, 0U})
    append(file, value);
  return file;
}

}  // namespace lutra::mcu::testing
