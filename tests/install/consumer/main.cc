#include <cmath>
#include <cstdio>
#include <vector>

#include "voxgemm/backbones.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"
#include "voxgemm/network.h"
#include "voxgemm/voxelize.h"

int main() {
  using namespace voxgemm;
  Context context;            // the CPU with all its threads; {.device = Device::cuda()} for a GPU
  std::vector<float> points;  // rows of x, y, z, intensity, age of the sweep
  for (int i = 0; i < 3000; ++i) {
    const float turn = 0.37F * i, range = 2.0F + 0.013F * i;
    points.insert(points.end(),
                  {range * std::cos(turn), range * std::sin(turn), -1.8F + 0.001F * i, 0.3F, 0.0F});
  }
  const PointsView cloud{points.data(), DType::kFloat32, 3000, 5};
  const VoxelGrid grid{
      {-54, -54, -5}, {54, 54, 3}, {0.075F, 0.075F, 0.2F}, /*max_voxels=*/20000, /*max_points=*/10};
  SparseTensor voxels(context, {41, 1440, 1440}, /*batch_size=*/1, grid.max_voxels, /*channels=*/5,
                      DType::kFloat32);
  voxelize(context, {&cloud, 1}, grid, voxels);

  Network network =
      make_centerpoint_backbone({.capacity = grid.max_voxels});  // or your own: conv(), add(), relu() ...
  const SparseTensorView view = voxels.view();
  const Frame frame = Frame::from_view(context, view);
  network.set_capacities(record_capacities(context, network, {&frame, 1}));
  const ScaleTable scales = calibrate_min_max(context, network, {&frame, 1});
  const Engine engine = Engine::build(context, network, scales);  // int8

  Buffer workspace(context, engine.workspace_bytes());
  const OutputInfo& info = engine.outputs()[0];
  std::vector<float> bev(dense_elements(info.spatial_shape, 1, info.channels));
  const OutputBinding output{bev.data()};
  check(engine.prepare(context, {workspace.data(), workspace.bytes()}), "prepare");
  check(engine.enqueue(context, view, {&output, 1}, {workspace.data(), workspace.bytes()}), "enqueue");
  std::printf("%d voxels -> dense BEV map of %zu values, %s\n", view.num_voxels, bev.size(),
              engine.steps()[2].kernel.c_str());
}
