// float32 on the device: plain fused multiply-adds in the order of the scalar row, so the same bits. For
// calibration and comparison, not for speed. Also the padded copy that every CUDA row may ask for.
#include "kernels/implicit_gemm/detail/launch.cuh"
#include "kernels/implicit_gemm/detail/ptx.cuh"
#include "kernels/implicit_gemm/sm80_rows.h"

namespace voxgemm::implicit_gemm {
namespace {

constexpr int kWarps = 8;
constexpr int kWarpRows = 4;       // output rows a warp
constexpr int kWarpChannels = 32;  // output channels a warp, one a lane

constexpr std::int32_t padded_channels(std::int32_t c_out) {
  return ceil_div(c_out, kWarpChannels) * kWarpChannels;
}

__device__ std::int32_t device_count(const std::int32_t* device, std::int32_t bound) {
  return device != nullptr ? min(*device, bound) : bound;
}

/// sums[r] of one lane's channel for four rows; `column` points at weight (k = 0, c = 0, n).
__device__ void dot_rows(const ImplicitGemmArgs& a, const float* column, std::int32_t width,
                         std::int32_t first, std::int32_t n, float (&sums)[kWarpRows]) {
  const auto* in = static_cast<const float*>(a.in);
  for (std::int32_t k = 0; k < a.problem.kv; ++k) {
    const float* x[kWarpRows];
    bool any = false;
    for (int r = 0; r < kWarpRows; ++r) {
      const std::int32_t j = first + r < n ? a.pairs.pair_fwd[k * a.pairs.pair_stride + first + r] : -1;
      x[r] = j < 0 ? nullptr : in + j * a.in_stride;
      any = any || j >= 0;
    }
    if (!any) continue;
    const float* w = column + static_cast<std::int64_t>(k) * a.problem.c_in * width;
    for (std::int32_t c = 0; c < a.problem.c_in; ++c) {
      const float weight = w[static_cast<std::int64_t>(c) * width];
      for (int r = 0; r < kWarpRows; ++r) {
        if (x[r] != nullptr) sums[r] = fmaf(x[r][c], weight, sums[r]);
      }
    }
  }
}

__global__ void __launch_bounds__(kWarps * 32) f32_kernel(const __grid_constant__ ImplicitGemmArgs a) {
  ptx::wait_for_predecessors();
  const std::int32_t n = device_count(a.pairs.device_num_out, a.pairs.num_out);
  const std::int32_t width = padded_channels(a.problem.c_out);
  const std::int32_t blocks = width / kWarpChannels;
  const std::int64_t tasks = static_cast<std::int64_t>((n + kWarpRows - 1) / kWarpRows) * blocks;
  const auto lane = static_cast<std::int32_t>(threadIdx.x % 32);
  for (std::int64_t task = static_cast<std::int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32; task < tasks;
       task += static_cast<std::int64_t>(gridDim.x) * kWarps) {
    const auto first = static_cast<std::int32_t>(task / blocks) * kWarpRows;
    const auto channel = static_cast<std::int32_t>(task % blocks) * kWarpChannels + lane;
    float sums[kWarpRows] = {};
    dot_rows(a, static_cast<const float*>(a.weights) + channel, width, first, n, sums);
    if (channel >= a.problem.c_out) continue;
    for (int r = 0; r < kWarpRows; ++r) {
      const std::int64_t row = first + r;
      if (row >= n) break;
      const bool has_residual = a.residual != nullptr;
      const float residual =
          has_residual ? static_cast<const float*>(a.residual)[row * a.residual_stride + channel] : 0.0F;
      const float t = finish_epilogue(fmaf(a.scale[channel], sums[r], a.bias[channel]), has_residual, a.beta,
                                      residual, a.activation, a.act_alpha);
      static_cast<float*>(a.out)[row * a.out_stride + channel] = t;
    }
  }
}

template <typename T>
__global__ void pad_kernel(const T* in, std::int64_t in_stride, std::int32_t c_in, T* padded,
                           std::int64_t padded_stride, const std::int32_t* device_n, std::int32_t bound) {
  ptx::wait_for_predecessors();
  const std::int64_t total = device_count(device_n, bound) * padded_stride;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < total;
       i += static_cast<std::int64_t>(gridDim.x) * blockDim.x) {
    const std::int64_t row = i / padded_stride;
    const std::int64_t c = i % padded_stride;
    padded[i] = c < c_in ? in[row * in_stride + c] : T{};
  }
}

template <typename T>
void launch_pad(const ImplicitGemmPrepare& a, std::int32_t rows, Exec exec) {
  const int blocks = exec.num_sms > 0 ? exec.num_sms * 4 : 1;
  pad_kernel<T><<<blocks, 256, 0, static_cast<cudaStream_t>(exec.stream)>>>(
      static_cast<const T*>(a.in), a.in_stride, a.problem.c_in, static_cast<T*>(a.padded), a.padded_stride,
      a.device_n_in, rows);
  keep_first_error(exec, cudaGetLastError());
}

}  // namespace

void cuda_prepare(const ImplicitGemmPrepare& args, RowRange rows, Exec exec) noexcept {
  const auto n = static_cast<std::int32_t>(rows.end);
  if (args.padded == nullptr || n <= 0) return;
  switch (size_of(args.problem.in_dtype)) {
    case 1:
      return launch_pad<std::uint8_t>(args, n, exec);
    case 2:
      return launch_pad<std::uint16_t>(args, n, exec);
    default:
      return launch_pad<std::uint32_t>(args, n, exec);
  }
}

const char* cuda_f32_rejects(const ImplicitGemmProblem& p) {
  return p.in_dtype == DType::kFloat32 ? nullptr : "takes float32 input only";
}

std::size_t cuda_f32_packed_bytes(const ImplicitGemmProblem& p) {
  return static_cast<std::size_t>(p.kv) * static_cast<std::size_t>(p.c_in) *
         static_cast<std::size_t>(padded_channels(p.c_out)) * sizeof(float);
}

void cuda_f32_pack(const ImplicitGemmProblem& p, const void* krsc, void* packed) {
  const auto* from = static_cast<const float*>(krsc);
  auto* to = static_cast<float*>(packed);
  const std::int64_t depth = std::int64_t{p.kv} * p.c_in;
  for (std::int64_t row = 0; row < depth; ++row) {
    for (std::int32_t n = 0; n < padded_channels(p.c_out); ++n)
      *to++ = n < p.c_out ? from[n * depth + row] : 0.0F;
  }
}

void cuda_f32_run(const ImplicitGemmArgs& args, RowRange, Exec exec) noexcept {
  if (args.pairs.num_out <= 0) return;
  const int blocks = exec.num_sms > 0 ? exec.num_sms * 8 : 1;
  f32_kernel<<<blocks, kWarps * 32, 0, static_cast<cudaStream_t>(exec.stream)>>>(args);
  keep_first_error(exec, cudaGetLastError());
}

}  // namespace voxgemm::implicit_gemm
