// The kernel around Sm80Tile, and its launch.
#pragma once

#include "kernels/implicit_gemm/detail/launch.cuh"
#include "kernels/implicit_gemm/detail/sm80_store.cuh"
#include "kernels/implicit_gemm/sm80_layout.h"
#include "kernels/implicit_gemm/sm80_rows.h"

namespace voxgemm::implicit_gemm {

/// Persistent blocks, `slices` interleaved sets of workers. A worker's warps draw from every workers-th tile:
/// its tiles spread over the rows, so that dense and sparse regions fall to all workers alike.
template <typename Config>
__global__ void __launch_bounds__(Config::kThreads, 1) sm80_kernel(const __grid_constant__ Sm80Args args) {
  extern __shared__ uint4 resident[];
  __shared__ std::int32_t next_tile;
  const int lane = static_cast<int>(threadIdx.x % 32);
  const auto slice = static_cast<std::int32_t>(blockIdx.x % args.slices);
  const auto worker = static_cast<std::int32_t>(blockIdx.x / args.slices);
  const auto workers = static_cast<std::int32_t>(gridDim.x / args.slices);
  const uint4* weights = args.weights + static_cast<std::int64_t>(slice) * args.slice_vectors;
  ptx::release_successors();
  if constexpr (Config::kResident) {
    for (std::int32_t i = static_cast<std::int32_t>(threadIdx.x); i < args.slice_vectors;
         i += Config::kThreads) {
      ptx::cp_async_16(resident + i, weights + i);
    }
    weights = resident;
  }
  if (threadIdx.x == 0) next_tile = Config::kWarps;
  ptx::wait_for_predecessors();

  const std::int32_t n =
      args.device_num_out != nullptr ? min(*args.device_num_out, args.num_out) : args.num_out;
  const std::int32_t tiles = (n + Config::kRows - 1) / Config::kRows;
  auto local = static_cast<std::int32_t>(threadIdx.x / 32);
  // Every warp begins a first tile, be it one past the last, so that all meet at the one barrier.
  for (bool first = true;; first = false) {
    const std::int32_t tile = local * workers + worker;
    if (!first && tile >= tiles) break;
    Sm80Tile<Config> work(args, weights, tile, n, lane);
    work.start(0);
    if (first) {
      ptx::cp_async_wait_all();
      __syncthreads();
    }
    if (first && tile >= tiles) break;
    work.multiply();
    for (std::int32_t word = 1; word * 32 < args.kv; ++word) {
      work.start(word);
      work.multiply();
    }
    work.store(slice);
    if (lane == 0) local = atomicAdd(&next_tile, 1);
    local = __shfl_sync(0xFFFFFFFFU, local, 0);
  }
}

constexpr std::int64_t kStaticSharedBytes =
    1024;  // static shared memory and what the system keeps of a block's

inline bool sm80_fits_shared(std::int64_t slice_bytes) {
  return slice_bytes + kStaticSharedBytes <= device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin);
}

inline bool aligned(const void* pointer, std::int64_t stride_bytes, std::int64_t alignment) {
  return reinterpret_cast<std::uintptr_t>(pointer) % static_cast<std::uintptr_t>(alignment) == 0 &&
         stride_bytes % alignment == 0;
}

inline Sm80Args sm80_args(const ImplicitGemmArgs& a, Sm80Shape shape) {
  const auto in_size = static_cast<std::int32_t>(size_of(a.problem.in_dtype));
  const auto out_size = static_cast<std::int64_t>(size_of(a.problem.out_dtype));
  const std::int64_t vector = std::int64_t{shape.channels} / 8 * out_size;
  const std::int64_t access = vector < 16 ? vector : 16;
  Sm80Args k;
  k.in = static_cast<const std::byte*>(a.in);
  k.in_stride = static_cast<std::uint32_t>(a.in_stride * in_size);
  k.row_bytes = a.problem.c_in * in_size;
  k.kv = a.problem.kv;
  k.weights = static_cast<const uint4*>(a.weights);
  k.slice_vectors = static_cast<std::int32_t>(sm80_slice_bytes(shape, k.kv, a.problem.c_in, in_size) / 16);
  k.slices = sm80_slices(shape, a.problem.c_out);
  k.chunks = sm80_chunks(shape, a.problem.c_in, in_size);
  k.num_out = a.pairs.num_out;
  k.device_num_out = a.pairs.device_num_out;
  k.pair_fwd = a.pairs.pair_fwd;
  k.pair_stride = static_cast<std::int32_t>(a.pairs.pair_stride);
  k.mask = a.pairs.mask;
  k.mask_words = a.pairs.mask_words;
  k.argsort = a.pairs.mask_splits == 1 ? a.pairs.mask_argsort[0] : nullptr;
  k.vector_out = aligned(a.out, a.out_stride * out_size, access) &&
                 (a.residual == nullptr || aligned(a.residual, a.residual_stride * out_size, access));
  k.vector_pairs = k.argsort == nullptr && aligned(k.pair_fwd, a.pairs.pair_stride * 4, 16);
  k.activation = a.activation;
  k.out_dtype = a.problem.out_dtype;
  k.scale = a.scale;
  k.bias = a.bias;
  k.beta = a.beta;
  k.act_alpha = a.act_alpha;
  k.residual = static_cast<const std::byte*>(a.residual);
  k.residual_stride = a.residual_stride;
  k.out = static_cast<std::byte*>(a.out);
  k.out_stride = a.out_stride;
  k.c_out = a.problem.c_out;
  return k;
}

/// Whether the code that runs waits for the kernels before it by itself (ptx.cuh): code for an architecture
/// before sm_90 does not, and newer devices run that too.
inline bool waits_for_predecessors(void (*kernel)(Sm80Args)) noexcept {
  cudaFuncAttributes attributes{};
  return cudaFuncGetAttributes(&attributes, kernel) == cudaSuccess && attributes.ptxVersion >= 90;
}

/// Persistent blocks over tiles of `rows` rows, at most one a multiprocessor.
inline void launch_persistent(void (*kernel)(Sm80Args), const Sm80Args& args, std::int32_t rows,
                              std::int32_t threads, std::int32_t resident_vectors, Exec exec) noexcept {
  const std::int32_t tiles = ceil_div(args.num_out, rows);
  const std::int32_t sms = exec.num_sms > 0 ? exec.num_sms : 1;
  std::int32_t workers = sms / args.slices > 0 ? sms / args.slices : 1;
  if (workers > tiles) workers = tiles;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(workers * args.slices));
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = static_cast<std::size_t>(resident_vectors) * 16;
  config.stream = static_cast<cudaStream_t>(exec.stream);
  config.attrs = &attribute;
  config.numAttrs = waits_for_predecessors(kernel) ? 1 : 0;
  keep_first_error(exec, cudaLaunchKernelEx(&config, kernel, args));
}

template <typename Config>
void sm80_launch(const Sm80Args& args, Exec exec) noexcept {
  launch_persistent(sm80_kernel<Config>, args, Config::kRows, Config::kThreads,
                    Config::kResident ? args.slice_vectors : 0, exec);
}

// The members of Sm80Row (sm80_rows.h). The weights stay in shared memory when a slice fits, else they come
// through L1.

template <typename Row, bool kSigmoid, bool kResident>
using Sm80RowConfig =
    Sm80Config<std::conditional_t<Row::kElementBytes == 1, std::int8_t, __half>, Row::kShape.rows,
               Row::kShape.channels, Row::kShape.step_bytes, kResident, kSigmoid>;

/// Kernels that keep their weights in shared memory may have all of it.
template <typename Config>
std::int32_t sm80_setup() {
  const int limit =
      device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin) - static_cast<int>(kStaticSharedBytes);
  return static_cast<std::int32_t>(
      cudaFuncSetAttribute(sm80_kernel<Config>, cudaFuncAttributeMaxDynamicSharedMemorySize, limit));
}

template <typename Row, bool kSigmoid>
void sm80_launch_row(const Sm80Args& args, Exec exec) noexcept {
  if (sm80_fits_shared(std::int64_t{args.slice_vectors} * 16)) {
    sm80_launch<Sm80RowConfig<Row, kSigmoid, true>>(args, exec);
  } else {
    sm80_launch<Sm80RowConfig<Row, kSigmoid, false>>(args, exec);
  }
}

template <typename Tag, int kRows, int kChannels, int kStepBytes>
std::size_t Sm80Row<Tag, kRows, kChannels, kStepBytes>::packed_bytes(const ImplicitGemmProblem& problem) {
  return static_cast<std::size_t>(sm80_packed_bytes(kShape, problem));
}

template <typename Tag, int kRows, int kChannels, int kStepBytes>
void Sm80Row<Tag, kRows, kChannels, kStepBytes>::pack(const ImplicitGemmProblem& problem, const void* krsc,
                                                      void* packed) {
  sm80_pack(kShape, problem, krsc, packed);
}

template <typename Tag, int kRows, int kChannels, int kStepBytes>
std::int32_t Sm80Row<Tag, kRows, kChannels, kStepBytes>::setup(const ImplicitGemmProblem& problem) {
  const std::int64_t bytes = sm80_slice_bytes(kShape, problem.kv, problem.c_in, sizeof(Tag));
  if (!sm80_fits_shared(bytes)) return 0;
  if constexpr (kHasSigmoid) {
    if (problem.sigmoid) return sm80_setup<Sm80RowConfig<Sm80Row, true, true>>();
  }
  return sm80_setup<Sm80RowConfig<Sm80Row, false, true>>();
}

template <typename Tag, int kRows, int kChannels, int kStepBytes>
void Sm80Row<Tag, kRows, kChannels, kStepBytes>::run(const ImplicitGemmArgs& args, RowRange,
                                                     Exec exec) noexcept {
  if (args.pairs.num_out <= 0) return;
  // Tables and rows are addressed with 32-bit products.
  if (args.pairs.pair_stride * args.problem.kv > INT32_MAX || args.in_stride > INT32_MAX / 4) {
    return keep_first_error(exec, cudaErrorInvalidValue);
  }
  const Sm80Args kernel_args = sm80_args(args, kShape);
  if constexpr (kHasSigmoid) {
    if (args.activation == Activation::kSigmoid) return sm80_launch_row<Sm80Row, true>(kernel_args, exec);
  }
  sm80_launch_row<Sm80Row, false>(kernel_args, exec);
}

}  // namespace voxgemm::implicit_gemm
