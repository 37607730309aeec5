// Entries of a kernel map that lies on a CUDA device, counted on the host: for profiles and one-shot maps.
#include <bit>
#include <vector>

#include "core/cuda_device.h"
#include "pairs/pair_network.h"

namespace voxgemm {
namespace {

template <typename T>
std::vector<T> download(Context& context, const T* device, std::int64_t count) {
  std::vector<T> host(static_cast<std::size_t>(count));
  if (count > 0) cuda::copy_to_host(host.data(), device, host.size() * sizeof(T), context.stream());
  return host;
}

std::int32_t real_count(Context& context, const std::int32_t* device, std::int32_t known) {
  return device == nullptr ? known : download(context, device, 1).front();
}

std::int64_t entries(const std::vector<std::int32_t>& rows) {
  std::int64_t count = 0;
  for (const std::int32_t row : rows) count += row >= 0 ? 1 : 0;
  return count;
}

}  // namespace

MapCounts count_pairs(Context& context, const IndicePairsView& device_map) {
  const IndicePairsView& map = device_map;
  MapCounts counts;
  counts.n_in = real_count(context, map.device_n_in, map.n_in);
  counts.num_out = real_count(context, map.device_num_out, map.num_out);
  if (map.mask != nullptr) {
    const std::int64_t words = std::int64_t{counts.num_out} * map.mask_words;
    for (const std::uint32_t word : download(context, map.mask, words)) counts.pairs += std::popcount(word);
    return counts;
  }
  const bool forward = map.pair_fwd != nullptr;
  const std::int32_t* table = forward ? map.pair_fwd : map.pair_bwd;
  if (table == nullptr) return counts;
  const std::int64_t stride = forward ? map.pair_stride : map.bwd_stride;
  const std::int32_t rows = forward ? counts.num_out : counts.n_in;
  for (std::int32_t k = 0; k < map.kv; ++k) {
    counts.pairs += entries(download(context, table + k * stride, rows));
  }
  return counts;
}

}  // namespace voxgemm
