#include "mcu/elf.hpp"

#include <string>
#include <vector>

#include "check.hpp"
#include "cortex.hpp"
#include "mcu/build_attributes.hpp"

using namespace lutra::mcu;
using namespace lutra::mcu::testing;

namespace {

Image named_image() {
  Image image = image_of({0x2001, kReturn});
  image.symbols = {{"lutra_conv2d", kFlashBase | 1}, {"lutra_add", kFlashBase + 2}};
  return image;
}

void reads_segments_and_symbols() {
  const ElfImage image = parse_elf(elf_of(named_image()));
  CHECK(image.machine == ElfMachine::arm && image.cpu_arch == -1);
  CHECK(image.segments.size() == 1);
  CHECK(image.segments[0].address == kFlashBase && image.segments[0].executable);
  CHECK((image.segments[0].bytes == std::vector<uint8_t>{0x01, 0x20, 0x70, 0x47}));
  CHECK(image.symbols.size() == 2 && image.symbols.at("lutra_add").address == kFlashBase + 2);
}

void every_truncation_is_refused() {
  const std::vector<uint8_t> file = elf_of(named_image());
  for (size_t bytes = 0; bytes < file.size(); ++bytes)
    CHECK_THROWS(ElfError, parse_elf({file.data(), bytes}));
}

void other_files_are_refused() {
  const auto altered = [](size_t at, uint8_t value) {
    std::vector<uint8_t> file = elf_of(named_image());
    file[at] = value;
    return file;
  };
  CHECK_THROWS(ElfError, parse_elf(altered(0, 'X')));
  CHECK_THROWS(ElfError, parse_elf(altered(4, 2)));    // 64-bit
  CHECK_THROWS(ElfError, parse_elf(altered(5, 2)));    // big-endian
  CHECK_THROWS(ElfError, parse_elf(altered(16, 1)));   // an object file
  CHECK_THROWS(ElfError, parse_elf(altered(18, 62)));  // x86-64
  CHECK_THROWS(ElfError, parse_elf(altered(44, 0)));   // no segments
  CHECK_THROWS(ElfError, parse_elf(altered(42, 31)));  // their headers of another size
}

void programs_for_other_cores_are_refused() {
  Image riscv = image_of({kReturn});
  riscv.machine = 243;
  CHECK_THROWS(ElfError, Machine(elf_of(riscv), ideal_board()));
  Image elsewhere = image_of({kReturn}, 0x10000000);
  CHECK_THROWS(ElfError, Machine(elf_of(elsewhere), ideal_board()));
}

/// An attributes section with one number after CPU_name.
std::vector<uint8_t> attributes(uint8_t arch) {
  const std::string name = "cortex-x";
  std::vector<uint8_t> tags = {5};
  tags.insert(tags.end(), name.begin(), name.end());
  for (const uint8_t byte : {uint8_t{0}, uint8_t{6}, arch, uint8_t{9}, uint8_t{2}}) tags.push_back(byte);
  const std::string vendor = "aeabi";
  const auto file_bytes = static_cast<uint32_t>(5 + tags.size());
  std::vector<uint8_t> section = {'A'};
  append(section, static_cast<uint32_t>(4 + vendor.size() + 1 + file_bytes));
  section.insert(section.end(), vendor.begin(), vendor.end());
  section.push_back(0);
  section.push_back(1);
  append(section, file_bytes);
  section.insert(section.end(), tags.begin(), tags.end());
  return section;
}

void architecture_is_read_from_build_attributes() {
  const std::vector<uint8_t> section = attributes(13);
  CHECK(cpu_arch_of(section) == static_cast<int>(CpuArch::v7em));
  CHECK(cpu_arch_of({}) == -1);
  for (size_t bytes = 0; bytes < section.size(); ++bytes) CHECK(cpu_arch_of({section.data(), bytes}) == -1);
}

}  // namespace

int main() {
  reads_segments_and_symbols();
  every_truncation_is_refused();
  other_files_are_refused();
  programs_for_other_cores_are_refused();
  architecture_is_read_from_build_attributes();
  return lutra::check::finish();
}
