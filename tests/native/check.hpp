#pragma once

// Just enough of a test library: `CHECK*` count failures and go on, `finish` reports and gives the exit code.

#include <cmath>
#include <iostream>

namespace lutra::check {

inline int& checks() {
  static int count = 0;
  return count;
}

inline int& failures() {
  static int count = 0;
  return count;
}

inline void record(bool passed, const char* what, const char* file, int line) {
  ++checks();
  if (passed) return;
  ++failures();
  std::cerr << file << ':' << line << ": failed: " << what << '\n';
}

/// To be returned from main. A program that checked nothing fails.
inline int finish() {
  std::cerr << checks() << " checks, " << failures() << " failures\n";
  return failures() == 0 && checks() > 0 ? 0 : 1;
}

/// To be returned from main where what is tested is not there.
inline int skip(const char* reason) {
  std::cerr << "skipped: " << reason << '\n';
  return 77;
}

}  // namespace lutra::check

#define CHECK(condition) ::lutra::check::record(static_cast<bool>(condition), #condition, __FILE__, __LINE__)
#define CHECK_NEAR(a, b, tolerance) CHECK(std::abs((a) - (b)) <= (tolerance))
#define CHECK_THROWS(exception, ...)                                                        \
  do {                                                                                      \
    bool thrown = false;                                                                    \
    try {                                                                                   \
      (void)(__VA_ARGS__);                                                                  \
    } catch (const exception&) {                                                            \
      thrown = true;                                                                        \
    }                                                                                       \
    ::lutra::check::record(thrown, #__VA_ARGS__ " throws " #exception, __FILE__, __LINE__); \
  } while (false)
