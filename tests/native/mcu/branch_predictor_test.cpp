#include "mcu/timing/branch_predictor.hpp"

#include <cstdint>

#include "check.hpp"

using lutra::mcu::BranchPredictor;

namespace {

constexpr std::uint32_t kPc = 0x08000100;

void guesses_unknown_branches_by_direction() {
  BranchPredictor<64> predictor;
  CHECK(predictor.predicted(kPc, false, false));
  CHECK(predictor.predicted(kPc + 2, true, true));
  CHECK(!predictor.predicted(kPc + 4, false, true));
  CHECK(!predictor.predicted(kPc + 6, true, false));
}

/// A loop that is left after n rounds costs one wrong guess each time, once its branch is known.
void learns_loops() {
  BranchPredictor<64> predictor;
  int wrong = 0;
  for (int times = 0; times < 10; ++times)
    for (int round = 0; round < 8; ++round)
      if (!predictor.predicted(kPc, true, round < 7)) ++wrong;
  CHECK(wrong == 10);
}

void learns_a_forward_branch_that_is_always_taken() {
  BranchPredictor<64> predictor;
  int wrong = 0;
  for (int i = 0; i < 10; ++i)
    if (!predictor.predicted(kPc, false, true)) ++wrong;
  CHECK(wrong == 1);
}

void forgets_a_branch_that_shares_its_entry() {
  BranchPredictor<64> predictor;
  predictor.predicted(kPc, false, true);
  CHECK(predictor.predicted(kPc, false, true));
  predictor.predicted(kPc + 2 * 64, false, true);
  CHECK(!predictor.predicted(kPc, false, true));
  predictor.clear();
  CHECK(!predictor.predicted(kPc, false, true));
}

}  // namespace

int main() {
  guesses_unknown_branches_by_direction();
  learns_loops();
  learns_a_forward_branch_that_is_always_taken();
  forgets_a_branch_that_shares_its_entry();
  return lutra::check::finish();
}
