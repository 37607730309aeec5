// The binary16 tensor-core rows.
#include "kernels/implicit_gemm/detail/sm80_launch.cuh"

namespace voxgemm::implicit_gemm {

template struct Sm80Row<Half, 16, 16, 16>;
template struct Sm80Row<Half, 32, 16, 16>;
template struct Sm80Row<Half, 16, 32, 16>;
template struct Sm80Row<Half, 32, 32, 16>;
template struct Sm80Row<Half, 16, 64, 16>;
template struct Sm80Row<Half, 32, 64, 16>;
template struct Sm80Row<Half, 16, 16, 32>;
template struct Sm80Row<Half, 32, 16, 32>;
template struct Sm80Row<Half, 16, 32, 32>;
template struct Sm80Row<Half, 32, 32, 32>;
template struct Sm80Row<Half, 16, 64, 32>;
template struct Sm80Row<Half, 32, 64, 32>;
template struct Sm80Row<Half, 16, 16, 64>;
template struct Sm80Row<Half, 32, 16, 64>;
template struct Sm80Row<Half, 16, 32, 64>;
template struct Sm80Row<Half, 32, 32, 64>;
template struct Sm80Row<Half, 16, 64, 64>;
template struct Sm80Row<Half, 32, 64, 64>;

}  // namespace voxgemm::implicit_gemm
