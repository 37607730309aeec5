// One-line wrappers of the PTX instructions that the CUDA rows use, and nothing else. For sm_75, which has
// smaller products and no asynchronous copies, the same in more instructions.
#pragma once

#include <cstdint>

namespace voxgemm::ptx {

/// d += a * b, one warp: a is 16 x 32 int8, b is 32 x 8 int8, d is 16 x 8 int32.
__device__ __forceinline__ void mma_s8(std::int32_t (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                       std::uint32_t b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
      : "+r"(d[0]), "+r"(d[1]), "+r"(d[2]), "+r"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
  // a[i] holds rows 8 * (i % 2) to + 7 of depths 16 * (i / 2) to + 15: each an operand of its own.
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    asm volatile("mma.sync.aligned.m8n8k16.row.col.s32.s8.s8.s32 {%0,%1}, {%2}, {%3}, {%0,%1};"
                 : "+r"(d[2 * (i % 2)]), "+r"(d[2 * (i % 2) + 1])
                 : "r"(a[i]), "r"(i < 2 ? b0 : b1));
  }
#endif
}

/// The same byte layout with binary16 elements (k = 16) and float32 sums.
__device__ __forceinline__ void mma_f16(float (&d)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                        std::uint32_t b1) {
#if __CUDA_ARCH__ >= 800
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
#else
#pragma unroll
  for (int half = 0; half < 2; ++half) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, {%0,%1,%2,%3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[2 * half]), "r"(a[2 * half + 1]), "r"(half == 0 ? b0 : b1));
  }
#endif
}

/// OR of a value of every lane of the warp.
__device__ __forceinline__ std::uint32_t warp_or(std::uint32_t value) {
#if __CUDA_ARCH__ >= 800
  return __reduce_or_sync(0xFFFFFFFFU, value);
#else
  for (int d = 16; d > 0; d >>= 1) value |= __shfl_xor_sync(0xFFFFFFFFU, value, d);
  return value;
#endif
}

/// Sixteen bytes of global memory, or zeros when `wanted` is false; nothing is read then.
__device__ __forceinline__ void load_16_or_zero(std::uint32_t (&v)[4], const void* from, bool wanted) {
  asm volatile(
      "{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %5, 0;\n\tmov.b32 %0, 0;\n\tmov.b32 %1, 0;\n\tmov.b32 %2, 0;\n\t"
      "mov.b32 %3, 0;\n\t@p ld.global.v4.b32 {%0,%1,%2,%3}, [%4];\n\t}"
      : "=&r"(v[0]), "=&r"(v[1]), "=&r"(v[2]), "=&r"(v[3])
      : "l"(from), "r"(static_cast<int>(wanted)));
}

/// Four bytes, or -1 when `wanted` is false.
__device__ __forceinline__ std::int32_t load_4_or_minus_one(const std::int32_t* from, bool wanted) {
  std::int32_t v;
  asm volatile(
      "{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %2, 0;\n\tmov.b32 %0, -1;\n\t@p ld.global.b32 %0, [%1];\n\t}"
      : "=&r"(v)
      : "l"(from), "r"(static_cast<int>(wanted)));
  return v;
}

/// Copy of 16 bytes from global to shared memory, asynchronous from sm_80 on.
__device__ __forceinline__ void cp_async_16(void* shared, const void* global) {
#if __CUDA_ARCH__ >= 800
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(address), "l"(global) : "memory");
#else
  *static_cast<uint4*>(shared) = *static_cast<const uint4*>(global);
#endif
}

/// Waits for every asynchronous copy of this thread.
__device__ __forceinline__ void cp_async_wait_all() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_all;" ::: "memory");
#endif
}

/// Waits until the kernels before this one have finished and their writes are visible (sm_90 and later).
__device__ __forceinline__ void wait_for_predecessors() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

/// Lets the next kernel start its preamble as soon as multiprocessors come free (sm_90 and later).
__device__ __forceinline__ void release_successors() {
#if __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;" ::: "memory");
#endif
}

/// Round half to even and saturate four values to int8, the first in the lowest byte; NaN gives 0.
__device__ __forceinline__ std::uint32_t pack_s8x4(float first, float second, float third, float fourth) {
  std::uint32_t packed;
  asm("{\n\t.reg .s32 a, b, c, d;\n\t.reg .b32 high;\n\t"
      "cvt.rni.s32.f32 a, %1;\n\tcvt.rni.s32.f32 b, %2;\n\tcvt.rni.s32.f32 c, %3;\n\tcvt.rni.s32.f32 d, "
      "%4;\n\t"
      "cvt.pack.sat.s8.s32.b32 high, d, c, 0;\n\tcvt.pack.sat.s8.s32.b32 %0, b, a, high;\n\t}"
      : "=r"(packed)
      : "f"(first), "f"(second), "f"(third), "f"(fourth));
  return packed;
}

}  // namespace voxgemm::ptx
