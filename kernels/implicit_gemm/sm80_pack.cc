// Packs KRSC weights into the fragment order of the tensor-core rows (see sm80_layout.h).
#include <cstring>

#include "kernels/implicit_gemm/sm80_layout.h"

namespace voxgemm::implicit_gemm {
namespace {

/// Round to nearest even, like the device's conversion; overflow gives infinity, NaN stays NaN.
std::uint16_t to_binary16(float value) {
  std::uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  const std::uint32_t sign = (bits >> 16) & 0x8000U;
  const std::uint32_t magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) return static_cast<std::uint16_t>(sign | 0x7E00U);
  if (magnitude >= 0x477FF000U) return static_cast<std::uint16_t>(sign | 0x7C00U);
  const auto exponent = static_cast<std::int32_t>(magnitude >> 23) - 112;
  if (exponent < -10) return static_cast<std::uint16_t>(sign);
  const std::uint32_t mantissa = (magnitude & 0x7FFFFFU) | (exponent <= 0 ? 0x800000U : 0U);
  const std::uint32_t shift = exponent <= 0 ? static_cast<std::uint32_t>(14 - exponent) : 13U;
  const std::uint32_t base =
      (exponent <= 0 ? 0U : static_cast<std::uint32_t>(exponent) << 10) + (mantissa >> shift);
  const std::uint32_t rest = mantissa & ((1U << shift) - 1U);
  const std::uint32_t half = 1U << (shift - 1U);
  const std::uint32_t up = rest > half || (rest == half && (base & 1U) != 0) ? 1U : 0U;
  return static_cast<std::uint16_t>(sign | (base + up));
}

/// Element (output channel n, offset k, input channel c) of the weights, zero outside.
struct Source {
  const ImplicitGemmProblem& problem;
  const void* krsc;

  template <typename T>
  T at(std::int32_t n, std::int32_t k, std::int32_t c) const {
    if (n >= problem.c_out || c >= problem.c_in) return T{};
    const std::int64_t index = (std::int64_t{n} * problem.kv + k) * problem.c_in + c;
    if constexpr (sizeof(T) == 1) {
      return static_cast<const T*>(krsc)[index];
    } else {
      return to_binary16(static_cast<const float*>(krsc)[index]);
    }
  }
};

/// Where the 16 bytes of one lane come from: eight bytes of an input row for each of two neighbouring
/// channels.
struct Fragment {
  std::int32_t channel;
  std::int32_t k;
  std::int32_t byte;  // first of the eight within the input row
};

template <typename T>
void pack_fragment(const Source& source, const Fragment& f, T* to) {
  constexpr auto kElements = static_cast<std::int32_t>(4 / sizeof(T));
  const std::int32_t first = f.byte / static_cast<std::int32_t>(sizeof(T));
  for (std::int32_t word = 0; word < 2; ++word) {
    for (std::int32_t channel = f.channel; channel < f.channel + 2; ++channel) {
      for (std::int32_t e = 0; e < kElements; ++e)
        *to++ = source.at<T>(channel, f.k, first + word * kElements + e);
    }
  }
}

/// First channel of lane row g in a 16-channel tile.
std::int32_t channel_of(Sm80Shape shape, std::int32_t slice, std::int32_t tile, std::int32_t g) {
  return slice * shape.channels + g * (shape.channels / 8) + 2 * tile;
}

/// One offset and chunk of one copy: for each depth of 32 bytes and 16-channel tile the lanes' 16 bytes,
/// lanes in the order that the copy's rotation gives.
template <typename T>
std::byte* pack_step(Sm80Shape shape, const Source& source, std::int32_t slice, std::int32_t step,
                     std::int32_t copy, std::byte* packed) {
  const std::int32_t chunks = sm80_chunks(shape, source.problem.c_in, sizeof(T));
  const std::int32_t parts = shape.step_bytes / 16;
  for (std::int32_t depth = 0; depth < 2; ++depth) {
    for (std::int32_t tile = 0; tile < shape.channels / 16; ++tile) {
      for (std::int32_t entry = 0; entry < 8 * parts; ++entry) {
        const std::int32_t byte = step % chunks * shape.step_bytes + entry % parts * 16 + depth * 8;
        pack_fragment(source, {channel_of(shape, slice, tile, entry / parts), step / chunks, byte},
                      reinterpret_cast<T*>(packed + std::ptrdiff_t{16} * (entry ^ (copy * 2 * parts))));
      }
      packed += std::ptrdiff_t{128} * parts;
    }
  }
  return packed;
}

template <typename T>
void pack_slice(Sm80Shape shape, const Source& source, std::int32_t slice, std::byte* packed) {
  const std::int32_t steps = source.problem.kv * sm80_chunks(shape, source.problem.c_in, sizeof(T));
  for (std::int32_t copy = 0; copy < sm80_copies(shape); ++copy) {
    for (std::int32_t step = 0; step < steps; ++step) {
      packed = pack_step<T>(shape, source, slice, step, copy, packed);
    }
  }
}

}  // namespace

void sm80_pack(Sm80Shape shape, const ImplicitGemmProblem& problem, const void* krsc, void* packed) {
  const Source source{problem, krsc};
  const std::int64_t slice_bytes =
      sm80_slice_bytes(shape, problem.kv, problem.c_in, static_cast<std::int32_t>(size_of(problem.in_dtype)));
  for (std::int32_t slice = 0; slice < sm80_slices(shape, problem.c_out); ++slice) {
    std::byte* to = static_cast<std::byte*>(packed) + slice * slice_bytes;
    if (problem.in_dtype == DType::kInt8) {
      pack_slice<std::int8_t>(shape, source, slice, to);
    } else {
      pack_slice<std::uint16_t>(shape, source, slice, to);
    }
  }
}

}  // namespace voxgemm::implicit_gemm
