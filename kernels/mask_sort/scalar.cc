// Stable radix sort, eight bits a pass; digits that hold no offset of the split are skipped.
#include <algorithm>
#include <cstddef>

#include "kernels/mask_sort/mask_sort.h"
#include "kernels/pattern_key.h"

namespace voxgemm {
namespace {

constexpr std::int32_t kDigitBits = 8;

// Bits of word w that belong to offsets [lo, hi).
std::uint32_t word_filter(std::int32_t w, std::int32_t lo, std::int32_t hi) {
  std::uint32_t filter = 0;
  for (std::int32_t bit = 0; bit < 32; ++bit) {
    const std::int32_t k = w * 32 + bit;
    if (k >= lo && k < hi) filter |= 1U << bit;
  }
  return filter;
}

// One counting-sort pass of `from` into `to`; false when every row has the same digit.
template <typename Digit>
bool sort_pass(const std::int32_t* from, std::int32_t* to, std::int32_t n, Digit&& digit) {
  std::int32_t place[1 << kDigitBits] = {};
  for (std::int32_t i = 0; i < n; ++i) ++place[digit(from[i])];
  std::int32_t sum = 0;
  for (std::int32_t& p : place) {
    if (p == n) return false;
    const std::int32_t count = p;
    p = sum;
    sum += count;
  }
  for (std::int32_t i = 0; i < n; ++i) to[place[digit(from[i])]++] = from[i];
  return true;
}

template <typename Key>
void sort_by(const MaskSortArgs& args, std::int32_t bits, std::uint32_t filter, std::int32_t*& from,
             std::int32_t*& to, Key&& key) {
  for (std::int32_t shift = 0; shift < bits; shift += kDigitBits) {
    if ((filter >> shift & 0xFFU) == 0) continue;
    const auto digit = [&](std::int32_t row) { return key(row) >> shift & 0xFFU; };
    if (sort_pass(from, to, args.n, digit)) std::swap(from, to);
  }
}

}  // namespace

void mask_sort(const MaskSortArgs& args) noexcept {
  if (args.n == 0) return;
  std::int32_t* from = args.argsort;
  std::int32_t* to = args.scratch;
  for (std::int32_t i = 0; i < args.n; ++i) from[i] = i;
  for (std::int32_t w = args.words - 1; w >= 0; --w) {
    const std::uint32_t filter = word_filter(w, args.lo, args.hi);
    if (filter == 0) continue;
    if (args.pattern) {
      sort_by(args, 10, kPatternKeys - 1, from, to,
              [&](std::int32_t row) { return pattern_key(args.mask[row] & filter); });
    } else {
      sort_by(args, 32, filter, from, to, [&](std::int32_t row) {
        return args.mask[static_cast<std::ptrdiff_t>(row) * args.words + w] & filter;
      });
    }
  }
  if (from != args.argsort) std::copy_n(from, args.n, args.argsort);
}

}  // namespace voxgemm
