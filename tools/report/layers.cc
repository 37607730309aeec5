#include "tools/report/layers.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "tools/report/table.h"

namespace voxgemm::tools {
namespace {

std::string count_or_blank(std::int64_t value) { return value > 0 ? grouped(value) : std::string(); }

/// Kernel rows have short names; the pairs step tells its whole story, of which the table shows the
/// structure.
std::string short_kernel(const std::string& kernel) { return kernel.substr(0, kernel.find(':')); }

std::string decibels(const std::optional<double>& value) {
  if (!value) return {};
  return std::isinf(*value) ? "exact" : fmt::format("{:.1f}", *value);
}

}  // namespace

bool is_convolution(const LayerRow& row) {
  return row.kv > 0 && row.kind.find("conv") != std::string::npos && row.kind != "convert";
}

std::int64_t issued_macs(const LayerRow& row) {
  if (row.kernel.starts_with("scalar")) return row.useful_macs;
  if (!row.kernel.starts_with("avx")) return 0;
  const std::size_t last = row.kernel.rfind('x');
  const bool named = row.kernel.find('_') < last && last + 1 < row.kernel.size();
  const int depth = named ? std::atoi(row.kernel.c_str() + last + 1) : 0;
  if (depth < 1) return 0;
  const auto up = [](std::int64_t value, std::int64_t step) { return (value + step - 1) / step * step; };
  return row.pairs * up(row.c_in, depth) * up(row.c_out, 16);
}

std::string layer_table(const std::vector<LayerRow>& rows, const TimeTotals& totals) {
  using enum Table::Align;
  Table table({{"layer", kLeft},
               {"kind", kLeft},
               {"channels"},
               {"N in"},
               {"N out"},
               {"pairs"},
               {"capacity"},
               {"kernel", kLeft},
               {"median us"},
               {"p90 us"},
               {"GMAC/s"},
               {"issued"},
               {"SQNR dB"}});
  for (const LayerRow& row : rows) {
    const bool conv = is_convolution(row);
    table.row({row.name, row.kind, row.c_out > 0 ? fmt::format("{} -> {}", row.c_in, row.c_out) : "",
               count_or_blank(row.n_in), count_or_blank(row.n_out), count_or_blank(row.pairs),
               count_or_blank(row.capacity), short_kernel(row.kernel), fmt::format("{:.1f}", row.median_us),
               fmt::format("{:.1f}", row.p90_us), conv ? fmt::format("{:.1f}", row.gmacs()) : "",
               conv && row.issued_macs > 0 && row.useful_macs > 0
                   ? fmt::format("{:.2f}",
                                 static_cast<double>(row.issued_macs) / static_cast<double>(row.useful_macs))
                   : "",
               decibels(row.sqnr_db)});
  }
  double macs = 0.0;
  for (const LayerRow& row : rows) macs += static_cast<double>(row.useful_macs);
  const double parts = totals.voxelize + totals.pairs + totals.gemm + totals.other;
  const auto share = [&](const char* name, double us) {
    return fmt::format("  {:<10} {:>10.1f} us  {:>5.1f} %\n", name, us, parts > 0 ? 100.0 * us / parts : 0.0);
  };
  std::string out = table.text() + "\nmedian time by part\n";
  out += share("voxelise", totals.voxelize) + share("pairs", totals.pairs) + share("GEMM", totals.gemm) +
         share("other", totals.other);
  out += fmt::format(
      "  {:<10} {:>10.1f} us  (p90 {:.1f} us, p99 {:.1f} us), {:.2f} useful GMAC, {:.1f} GMAC/s in the "
      "GEMM\n",
      "frame", totals.frame, totals.frame_p90, totals.frame_p99, macs * 1e-9,
      totals.gemm > 0 ? macs / totals.gemm * 1e-3 : 0.0);
  return out;
}

nlohmann::json layers_json(const std::vector<LayerRow>& rows) {
  nlohmann::json list = nlohmann::json::array();
  for (const LayerRow& row : rows) {
    nlohmann::json entry{{"name", row.name},
                         {"kind", row.kind},
                         {"precision", row.precision},
                         {"kernel", row.kernel},
                         {"kernel_map", row.pairs_of},
                         {"c_in", row.c_in},
                         {"c_out", row.c_out},
                         {"kv", row.kv},
                         {"n_in", row.n_in},
                         {"n_out", row.n_out},
                         {"capacity", row.capacity},
                         {"pairs", row.pairs},
                         {"median_us", row.median_us},
                         {"p90_us", row.p90_us},
                         {"useful_macs", row.useful_macs},
                         {"issued_macs", row.issued_macs},
                         {"gmacs", row.gmacs()}};
    // JSON has no infinity: an exact layer says so.
    entry["exact"] = row.sqnr_db && std::isinf(*row.sqnr_db);
    if (row.sqnr_db && std::isfinite(*row.sqnr_db)) {
      entry["sqnr_db"] = *row.sqnr_db;
    } else {
      entry["sqnr_db"] = nullptr;
    }
    list.push_back(std::move(entry));
  }
  return list;
}

nlohmann::json totals_json(const TimeTotals& totals) {
  return {{"voxelize_us", totals.voxelize},  {"pairs_us", totals.pairs},
          {"gemm_us", totals.gemm},          {"other_us", totals.other},
          {"frame_median_us", totals.frame}, {"frame_p90_us", totals.frame_p90},
          {"frame_p99_us", totals.frame_p99}};
}

}  // namespace voxgemm::tools
