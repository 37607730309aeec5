// Proves: int8 outputs that spconv itself computed are reproduced bit for bit, per coordinate, by every CUDA
// row.
#include <gtest/gtest.h>

#include <cstring>

#include "core/cuda_device.h"
#include "tests/cuda/gemm_on_device.h"
#include "tests/gemm/golden_case.h"

namespace voxgemm::test {
namespace {

TEST(GoldenCuda, EveryRowEqualsSpconv) {
  if (cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
  const auto folders = case_folders("golden_spconv_int8");
  if (folders.empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA has no golden_spconv_int8";
  Context context({.device = Device::cuda()});
  for (const auto& folder : folders) {
    const Golden g = read_golden(folder);
    LayerCase c;
    c.desc = g.desc;
    c.epilogue = g.epilogue;
    c.n_in = static_cast<std::int32_t>(g.in_indices.size() / 4);
    c.features = g.features;
    c.weights = g.weights;
    c.residual = g.residual;
    const auto num_out = static_cast<std::int32_t>(g.out_indices.size() / 4);
    const DeviceMap map(context, g.desc.kv, c.n_in, brute_pairs(g), {.capacity = num_out + 4 - num_out % 4});
    const std::int64_t row_bytes = g.desc.c_out * static_cast<std::int64_t>(size_of(g.desc.out_dtype));
    for (const std::string& name :
         device_rows(context, {.kv = g.desc.kv, .c_in = g.desc.c_in, .c_out = g.desc.c_out})) {
      const auto raw = run_on_device(context, c, map, {.kernel = name});
      const auto got = written_rows(raw, num_out, row_bytes, row_bytes);
      ASSERT_EQ(got.size(), g.out.bytes.size()) << g.desc.name;
      EXPECT_EQ(std::memcmp(got.data(), g.out.bytes.data(), got.size()), 0) << g.desc.name << " by " << name;
    }
  }
}

}  // namespace
}  // namespace voxgemm::test
