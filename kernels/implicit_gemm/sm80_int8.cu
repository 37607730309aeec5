// The int8 tensor-core rows.
#include "kernels/implicit_gemm/detail/sm80_launch.cuh"

namespace voxgemm::implicit_gemm {

template struct Sm80Row<std::int8_t, 16, 16, 16>;
template struct Sm80Row<std::int8_t, 32, 16, 16>;
template struct Sm80Row<std::int8_t, 16, 32, 16>;
template struct Sm80Row<std::int8_t, 32, 32, 16>;
template struct Sm80Row<std::int8_t, 16, 64, 16>;
template struct Sm80Row<std::int8_t, 32, 64, 16>;
template struct Sm80Row<std::int8_t, 16, 16, 32>;
template struct Sm80Row<std::int8_t, 32, 16, 32>;
template struct Sm80Row<std::int8_t, 16, 32, 32>;
template struct Sm80Row<std::int8_t, 32, 32, 32>;
template struct Sm80Row<std::int8_t, 16, 64, 32>;
template struct Sm80Row<std::int8_t, 32, 64, 32>;
template struct Sm80Row<std::int8_t, 16, 16, 64>;
template struct Sm80Row<std::int8_t, 32, 16, 64>;
template struct Sm80Row<std::int8_t, 16, 32, 64>;
template struct Sm80Row<std::int8_t, 32, 32, 64>;
template struct Sm80Row<std::int8_t, 16, 64, 64>;
template struct Sm80Row<std::int8_t, 32, 64, 64>;

}  // namespace voxgemm::implicit_gemm
