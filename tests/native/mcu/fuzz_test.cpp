#include <array>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.hpp"
#include "cortex.hpp"
#include "mcu/trap.hpp"

// Whatever bytes come as a file or as code: an error or a result, never a crash. The sanitizers watch.

using namespace lutra::mcu;
using namespace lutra::mcu::testing;

namespace {

constexpr std::array kCores = {CoreKind::cortex_m0plus, CoreKind::cortex_m3, CoreKind::cortex_m4,
                               CoreKind::cortex_m33,    CoreKind::cortex_m7, CoreKind::rv32imc};

using Generator = std::mt19937;

std::vector<uint8_t> random_bytes(Generator& generator, size_t count) {
  std::vector<uint8_t> bytes(count);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(generator());
  return bytes;
}

/// A byte, a halfword or a word somewhere becomes random, or one of the values that overflow sums.
void damage(Generator& generator, std::vector<uint8_t>& file) {
  constexpr std::array<uint32_t, 6> kEdges = {0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0};
  const size_t at = generator() % (file.size() - 4);
  const uint32_t value =
      generator() % 2 ? kEdges[generator() % kEdges.size()] : static_cast<uint32_t>(generator());
  const size_t bytes = size_t{1} << generator() % 3;
  for (size_t i = 0; i < bytes; ++i) file[at + i] = static_cast<uint8_t>(value >> (8 * i));
}

/// Loads the file and calls into it; true where it got as far as running.
bool survives(const std::vector<uint8_t>& file, const Board& board, uint32_t function) {
  constexpr uint64_t kCycleLimit = 2000;
  const std::array<uint32_t, 4> arguments = {kRamBase, kRamBase + 0x100, 3, kFlashBase};
  try {
    Machine machine(file, board);
    machine.call(function, arguments, kCycleLimit);
  } catch (const ElfError&) {
    return false;
  } catch (const Trap&) {
    return true;
  }
  return true;
}

void files_of_noise() {
  Generator generator(1);
  for (int i = 0; i < 2000; ++i)
    CHECK(!survives(random_bytes(generator, generator() % 512), ideal_board(), 0));
}

void damaged_files() {
  Generator generator(2);
  Image image = image_of({0x2001, 0xB500, 0xBD00, kReturn});
  image.symbols = {{"lutra_conv2d", kFlashBase | 1}, {"lutra_add", kFlashBase + 2}};
  const std::vector<uint8_t> whole = elf_of(image);
  int loaded = 0;
  for (int i = 0; i < 5000; ++i) {
    std::vector<uint8_t> file = whole;
    for (auto n = generator() % 3 + 1; n > 0; --n) damage(generator, file);
    loaded += survives(file, ideal_board(), kFlashBase);
  }
  CHECK(loaded > 100 && loaded < 4900);
}

/// Random halfwords, of which some are pulled to encodings that do something: else nearly all end at once.
Image random_code(Generator& generator, CoreKind core) {
  constexpr std::array<uint16_t, 12> kHeads = {0xEA00, 0xEB00, 0xF000, 0xF100, 0xF800, 0xF850,
                                               0xFA00, 0xFB00, 0xE900, 0xEE00, 0xED00, 0xBF00};
  Image image;
  image.machine = core == CoreKind::rv32imc ? 243 : 40;
  for (int i = 0; i < 64; ++i) {
    const auto noise = static_cast<uint16_t>(generator());
    const bool pulled = generator() % 3 == 0;
    append(image.code,
           pulled ? static_cast<uint16_t>(kHeads[generator() % kHeads.size()] | (noise & 0xFF)) : noise);
  }
  return image;
}

void code_of_noise() {
  Generator generator(3);
  for (const CoreKind core : kCores) {
    Board board = ideal_board(core);
    board.fpu = core != CoreKind::rv32imc;
    board.flash.wait_states = 3;
    board.flash.i_lines = 4;
    board.flash.d_lines = 2;
    for (int i = 0; i < 1500; ++i) {
      const auto entry = static_cast<uint32_t>(kFlashBase + 2 * (generator() % 64));
      CHECK(survives(elf_of(random_code(generator, core)), board, entry));
    }
  }
}

void every_first_halfword_decodes() {
  Generator generator(4);
  for (const CoreKind core : {CoreKind::cortex_m0plus, CoreKind::cortex_m4, CoreKind::cortex_m7}) {
    const Board board = ideal_board(core);
    Image image;
    for (uint32_t first = 0; first < 0x10000; ++first) {
      append(image.code, static_cast<uint16_t>(first));
      append(image.code, static_cast<uint16_t>(generator()));
    }
    image.code.resize(board.flash.size);
    Machine machine(elf_of(image), board);
    int ended = 0;
    for (uint32_t entry = 0; entry < board.flash.size; entry += 4) {
      try {
        machine.call(kFlashBase + entry, {}, 100);
      } catch (const Trap&) {
      }
      ++ended;
    }
    CHECK(ended > 0);
  }
}

}  // namespace

int main() {
  files_of_noise();
  damaged_files();
  code_of_noise();
  every_first_halfword_decodes();
  return lutra::check::finish();
}
