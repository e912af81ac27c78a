#include "mcu/elf.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>

#include "mcu/build_attributes.hpp"

namespace lutra::mcu {

namespace {

// Layout and numbers of the System V ABI, "Object files", 32-bit class.
struct Header {
  std::array<uint8_t, 16> ident;
  uint16_t type, machine;
  uint32_t version, entry, segments_offset, sections_offset, flags;
  uint16_t header_bytes, segment_entry_bytes, segment_count, section_entry_bytes, section_count,
      names_section;
};
struct SegmentHeader {
  uint32_t type, offset, virtual_address, physical_address, file_bytes, memory_bytes, flags, alignment;
};
struct SectionHeader {
  uint32_t name, type, flags, address, offset, bytes, link, info, alignment, entry_bytes;
};
struct SymbolEntry {
  uint32_t name, value, bytes;
  uint8_t info, other;
  uint16_t section;
};
static_assert(sizeof(Header) == 52 && sizeof(SegmentHeader) == 32 && sizeof(SectionHeader) == 40 &&
              sizeof(SymbolEntry) == 16);

constexpr uint8_t kClass32 = 1;
constexpr uint8_t kLittleEndian = 1;
constexpr uint16_t kExecutable = 2;
constexpr uint32_t kLoadSegment = 1;
constexpr uint32_t kExecuteFlag = 1;
constexpr uint32_t kSymbolSection = 2;
constexpr uint32_t kArmAttributesSection = 0x70000003;
constexpr uint8_t kMaxSymbolType = 2;  // untyped, object, function; not sections and files
constexpr uint16_t kUndefinedSection = 0;
// No program for a microcontroller comes near these; a damaged file could ask for hours and gigabytes.
constexpr size_t kMaxFileBytes = size_t{64} << 20;
constexpr uint16_t kMaxSegments = 64;
constexpr size_t kMaxNameBytes = 4096;

[[noreturn]] void refuse(const std::string& what) { throw ElfError("ELF file: " + what); }

/// Bounds-checked views of the file.
class File {
 public:
  explicit File(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  std::span<const uint8_t> range(uint64_t offset, uint64_t count, const char* what) const {
    if (offset > bytes_.size() || bytes_.size() - offset < count)
      refuse(std::string("truncated or corrupt: ") + what + " reaches beyond the end of the file");
    return bytes_.subspan(static_cast<size_t>(offset), static_cast<size_t>(count));
  }

  template <class Record>
  Record record(uint64_t offset, const char* what) const {
    static_assert(std::is_trivially_copyable_v<Record>);
    Record value;
    std::memcpy(&value, range(offset, sizeof(Record), what).data(), sizeof(Record));
    return value;
  }

 private:
  std::span<const uint8_t> bytes_;
};

Header read_header(const File& file) {
  const Header header = file.record<Header>(0, "the header");
  constexpr std::array<uint8_t, 4> kMagic = {0x7F, 'E', 'L', 'F'};
  if (!std::equal(kMagic.begin(), kMagic.end(), header.ident.begin())) refuse("not an ELF file");
  if (header.ident[4] != kClass32 || header.ident[5] != kLittleEndian)
    refuse("not 32-bit little-endian; build it for the board's core");
  if (header.type != kExecutable) refuse("not a linked executable (ET_EXEC); link it at fixed addresses");
  const auto machine = static_cast<ElfMachine>(header.machine);
  if (machine != ElfMachine::arm && machine != ElfMachine::riscv)
    refuse("built for machine " + std::to_string(header.machine) +
           ", which is neither Arm (40) nor RISC-V (243)");
  return header;
}

std::vector<ElfSegment> read_segments(const File& file, const Header& header) {
  if (header.segment_count > 0 && header.segment_entry_bytes != sizeof(SegmentHeader))
    refuse("corrupt: wrong size of the program headers");
  if (header.segment_count > kMaxSegments)
    refuse("it has " + std::to_string(header.segment_count) + " segments; at most 64 are loaded");
  std::vector<ElfSegment> segments;
  for (uint32_t i = 0; i < header.segment_count; ++i) {
    const auto entry = file.record<SegmentHeader>(
        header.segments_offset + uint64_t{i} * sizeof(SegmentHeader), "a program header");
    if (entry.type != kLoadSegment || entry.memory_bytes == 0) continue;
    if (entry.file_bytes > entry.memory_bytes)
      refuse("corrupt: a segment is larger in the file than in memory");
    const auto bytes = file.range(entry.offset, entry.file_bytes, "a segment");
    segments.push_back({entry.virtual_address,
                        {bytes.begin(), bytes.end()},
                        entry.memory_bytes,
                        (entry.flags & kExecuteFlag) != 0});
  }
  if (segments.empty()) refuse("it has nothing to load (no PT_LOAD segment)");
  return segments;
}

std::string_view name_at(std::span<const uint8_t> names, uint32_t offset) {
  if (offset >= names.size()) refuse("corrupt: a symbol's name is outside the string table");
  const auto rest = names.subspan(offset);
  const auto shown = rest.first(std::min(rest.size(), kMaxNameBytes));
  const auto last = std::find(shown.begin(), shown.end(), uint8_t{0});
  if (last == shown.end()) refuse("corrupt: a symbol's name does not end");
  return {reinterpret_cast<const char*>(shown.data()), static_cast<size_t>(last - shown.begin())};
}

void read_symbols(const File& file, const SectionHeader& section, const SectionHeader& strings,
                  ElfImage& image) {
  if (section.entry_bytes != sizeof(SymbolEntry) || section.bytes % sizeof(SymbolEntry) != 0)
    refuse("corrupt: wrong size of the symbol table");
  const auto names = file.range(strings.offset, strings.bytes, "the string table");
  file.range(section.offset, section.bytes, "the symbol table");
  for (uint32_t at = 0; at < section.bytes; at += sizeof(SymbolEntry)) {
    const auto symbol = file.record<SymbolEntry>(uint64_t{section.offset} + at, "a symbol");
    const bool defined = symbol.section != kUndefinedSection && (symbol.info & 15) <= kMaxSymbolType;
    if (symbol.name == 0 || !defined) continue;
    const std::string_view name = name_at(names, symbol.name);
    if (name.starts_with('$')) continue;  // mapping symbols ($t, $d): marks, not names
    image.symbols.insert_or_assign(std::string(name), ElfSymbol{symbol.value, symbol.bytes});
  }
}

void read_sections(const File& file, const Header& header, ElfImage& image) {
  if (header.section_count == 0) return;  // stripped
  if (header.section_entry_bytes != sizeof(SectionHeader))
    refuse("corrupt: wrong size of the section headers");
  const auto section_at = [&](uint32_t index) {
    return file.record<SectionHeader>(header.sections_offset + uint64_t{index} * sizeof(SectionHeader),
                                      "a section header");
  };
  bool has_symbols = false;
  for (uint32_t i = 0; i < header.section_count; ++i) {
    const SectionHeader section = section_at(i);
    if (section.type == kSymbolSection) {
      if (std::exchange(has_symbols, true)) refuse("corrupt: two symbol tables");
      if (section.link >= header.section_count) refuse("corrupt: the symbol table has no string table");
      read_symbols(file, section, section_at(section.link), image);
    } else if (section.type == kArmAttributesSection && image.machine == ElfMachine::arm) {
      image.cpu_arch = cpu_arch_of(file.range(section.offset, section.bytes, "the build attributes"));
    }
  }
}

}  // namespace

ElfImage parse_elf(std::span<const uint8_t> bytes) {
  if (bytes.size() > kMaxFileBytes) refuse("larger than 64 MiB");
  const File file(bytes);
  const Header header = read_header(file);
  ElfImage image;
  image.machine = static_cast<ElfMachine>(header.machine);
  image.flags = header.flags;
  image.segments = read_segments(file, header);
  read_sections(file, header, image);
  return image;
}

}  // namespace lutra::mcu
