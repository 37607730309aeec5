// The epilogue of the tensor-core rows: sums -> output rows, a vector of channels a lane.
#pragma once

#include "kernels/implicit_gemm/detail/sm80_gemm.cuh"

namespace voxgemm::implicit_gemm {

/// Contiguous elements of one output row as one lane holds them: 2, 4, 8 or 16 bytes.
template <typename T, int kCount>
struct LaneVector {
  static constexpr int kBytes = kCount * static_cast<int>(sizeof(T));
  static constexpr int kWords = kBytes < 4 ? 1 : kBytes / 4;
  std::uint32_t words[kWords];

  __device__ __forceinline__ void load(const T* from) {
    if constexpr (kBytes == 16) {
      const uint4 v = *reinterpret_cast<const uint4*>(from);
      words[0] = v.x, words[1] = v.y, words[2] = v.z, words[3] = v.w;
    } else if constexpr (kBytes == 8) {
      const uint2 v = *reinterpret_cast<const uint2*>(from);
      words[0] = v.x, words[1] = v.y;
    } else if constexpr (kBytes == 4) {
      words[0] = *reinterpret_cast<const std::uint32_t*>(from);
    } else {
      words[0] = *reinterpret_cast<const std::uint16_t*>(from);
    }
  }

  __device__ __forceinline__ void store(T* to) const {
    if constexpr (kBytes == 16) {
      *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
    } else if constexpr (kBytes == 8) {
      *reinterpret_cast<uint2*>(to) = make_uint2(words[0], words[1]);
    } else if constexpr (kBytes == 4) {
      *reinterpret_cast<std::uint32_t*>(to) = words[0];
    } else {
      *reinterpret_cast<std::uint16_t*>(to) = static_cast<std::uint16_t>(words[0]);
    }
  }

  /// The first `count` elements, one at a time: odd strides and the last channels.
  __device__ __forceinline__ void load_some(const T* from, int count) {
#pragma unroll
    for (int i = 0; i < kWords; ++i) words[i] = 0;
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (i < count) put_bits(i, bits_of(from[i]));
    }
  }
  __device__ __forceinline__ void store_some(T* to, int count) const {
#pragma unroll
    for (int i = 0; i < kCount; ++i) {
      if (i < count) to[i] = element(i);
    }
  }

  __device__ __forceinline__ float value(int i) const {
    if constexpr (sizeof(T) == 1) {
      return static_cast<float>(static_cast<std::int8_t>(words[i / 4] >> (8 * (i % 4))));
    } else if constexpr (sizeof(T) == 2) {
      return __half2float(__ushort_as_half(static_cast<unsigned short>(words[i / 2] >> (16 * (i % 2)))));
    } else {
      return __uint_as_float(words[i]);
    }
  }

  /// Rounds the results to T and keeps them.
  __device__ __forceinline__ void set(const float (&t)[kCount]) {
    if constexpr (sizeof(T) == 1) {
#pragma unroll
      for (int i = 0; i < kCount; i += 4) {
        words[i / 4] = ptx::pack_s8x4(t[i], t[i + 1], kCount > 2 ? t[(i + 2) % kCount] : 0.0F,
                                      kCount > 2 ? t[(i + 3) % kCount] : 0.0F);
      }
    } else if constexpr (sizeof(T) == 2) {
#pragma unroll
      for (int i = 0; i < kCount; i += 2) {
        words[i / 2] = static_cast<std::uint32_t>(__half_as_ushort(__float2half_rn(t[i]))) |
                       static_cast<std::uint32_t>(__half_as_ushort(__float2half_rn(t[i + 1]))) << 16;
      }
    } else {
#pragma unroll
      for (int i = 0; i < kCount; ++i) words[i] = __float_as_uint(t[i]);
    }
  }

 private:
  static constexpr int kPerWord = 4 / static_cast<int>(sizeof(T));

  __device__ __forceinline__ static std::uint32_t bits_of(T v) {
    if constexpr (sizeof(T) == 1) {
      return static_cast<std::uint8_t>(v);
    } else if constexpr (sizeof(T) == 2) {
      return __half_as_ushort(v);
    } else {
      return __float_as_uint(v);
    }
  }
  __device__ __forceinline__ void put_bits(int i, std::uint32_t bits) {
    words[i / kPerWord] |= bits << (32 / kPerWord * (i % kPerWord));
  }
  __device__ __forceinline__ T element(int i) const {
    const std::uint32_t bits = words[i / kPerWord] >> (32 / kPerWord * (i % kPerWord));
    if constexpr (sizeof(T) == 1) {
      return static_cast<std::int8_t>(bits);
    } else if constexpr (sizeof(T) == 2) {
      return __ushort_as_half(static_cast<unsigned short>(bits));
    } else {
      return __uint_as_float(bits);
    }
  }
};

template <typename Config>
template <typename T>
__device__ __forceinline__ void Sm80Tile<Config>::store_as(std::int32_t channel) const {
  // At most 16 bytes of a row at a time, so that scale, bias and residual fit beside the sums.
  constexpr int kMost = 16 / static_cast<int>(sizeof(T));
  constexpr int kCount = C::kLaneChannels < kMost ? C::kLaneChannels : kMost;
#pragma unroll
  for (int first = 0; first < C::kLaneChannels; first += kCount) {
    if (channel + first >= args_.c_out) return;
    store_block<T, kCount>(first, channel + first);
  }
}

template <typename Config>
template <typename T, int kCount>
__device__ __forceinline__ void Sm80Tile<Config>::store_block(int first, std::int32_t channel) const {
  const Sm80Args& a = args_;
  const int count = min(kCount, a.c_out - channel);
  const bool vector = a.vector_out && count == kCount;
  const bool has_residual = a.residual != nullptr;
  float scale[kCount];
  float bias[kCount];
#pragma unroll
  for (int i = 0; i < kCount; i += 2) {
    const float2 s = *reinterpret_cast<const float2*>(a.scale + channel + i);
    const float2 b = *reinterpret_cast<const float2*>(a.bias + channel + i);
    scale[i] = s.x, scale[i + 1] = s.y, bias[i] = b.x, bias[i + 1] = b.y;
  }
#pragma unroll
  for (int v = 0; v < C::kLaneRows; ++v) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const std::int32_t row = row_at((2 * (lane_ & 3) + half) * C::kLaneRows + v);
      if (row < 0) continue;
      LaneVector<T, kCount> residual{};
      if (has_residual) {
        const T* from = reinterpret_cast<const T*>(a.residual) + row * a.residual_stride + channel;
        vector ? residual.load(from) : residual.load_some(from, count);
      }
      float t[kCount];
#pragma unroll
      for (int i = 0; i < kCount; ++i) {
        const auto sum = static_cast<float>(sums_[(first + i) / 2][v][2 * (i % 2) + half]);
        t[i] = finish_piecewise(fmaf(scale[i], sum, bias[i]), has_residual, a.beta,
                                has_residual ? residual.value(i) : 0.0F, a.activation, a.act_alpha);
        if constexpr (C::kSigmoid) t[i] = scaled_sigmoid(t[i], a.act_alpha);
      }
      LaneVector<T, kCount> result;
      result.set(t);
      T* to = reinterpret_cast<T*>(a.out) + row * a.out_stride + channel;
      vector ? result.store(to) : result.store_some(to, count);
    }
  }
}

template <typename Config>
__device__ __forceinline__ void Sm80Tile<Config>::store(std::int32_t slice) const {
  const std::int32_t channel = slice * C::kChannels + (lane_ / 4) * C::kLaneChannels;
  if (channel >= args_.c_out) return;
  if constexpr (C::kInt8) {
    switch (args_.out_dtype) {
      case DType::kFloat32:
        return store_as<float>(channel);
      case DType::kFloat16:
        return store_as<__half>(channel);
      default:
        return store_as<std::int8_t>(channel);
    }
  } else {
    store_as<__half>(channel);
  }
}

}  // namespace voxgemm::implicit_gemm
