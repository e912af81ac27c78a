#include "cpu/reference/reference.hpp"

namespace lutra::cpu::reference {

bool Index::next() {
  for (size_t dim = shape_.size(); dim-- > 0;) {
    if (++at_[dim] < shape_[dim]) return true;
    at_[dim] = 0;
  }
  return false;
}

int64_t flat(const Shape& shape, const std::vector<int64_t>& at) {
  int64_t position = 0;
  for (size_t dim = 0; dim < shape.size(); ++dim) position = position * shape[dim] + at[dim];
  return position;
}

}  // namespace lutra::cpu::reference
