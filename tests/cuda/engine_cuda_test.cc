// Proves: an engine on a CUDA device, captured once into one graph, gives the bytes of the CPU engine for any
// count that its capacity holds, growing and shrinking, without touching rows beyond the count; that two
// threads may replay two graphs of one engine; that a device that is not current serves as well; that lack of
// memory, a full level and a workspace that was not prepared are reported; that random networks give the same
// bytes, sharing memory or not; and, with real data, that the whole CenterPoint backbone equals the
// CPU bit for bit.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>

#include "core/cuda_device.h"
#include "tests/engine/engine_runner.h"
#include "tests/engine/random_networks.h"
#include "tests/engine/test_networks.h"
#include "tests/support/test_data.h"
#include "voxgemm/backbones.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"

namespace voxgemm::test {
namespace {

/// One engine on the device with its buffers, captured into one graph.
class CapturedEngine {
 public:
  CapturedEngine(Context& context, std::shared_ptr<const Engine> engine, std::size_t least_bytes = 0)
      : context_(context),
        engine_(std::move(engine)),
        workspace_(context, std::max(engine_->workspace_bytes(), least_bytes)) {
    const auto capacity = static_cast<std::size_t>(engine_->input_capacity());
    columns_ = static_cast<std::size_t>(1 + engine_->input_shape().ndim);
    channels_ = static_cast<std::size_t>(engine_->input_channels());
    indices_ = Buffer(context, capacity * columns_ * 4);
    features_ = Buffer(context, capacity * channels_ * 4);
    count_ = Buffer(context, 4);
    check(engine_->prepare(context, workspace()), "prepare");
    for (const OutputInfo& info : engine_->outputs()) {
      const std::int64_t elements = info.dense
                                        ? dense_elements(info.spatial_shape, info.batch_size, info.channels)
                                        : std::int64_t{info.capacity} * info.channels;
      out_features_.emplace_back(context, static_cast<std::size_t>(elements) * size_of(info.dtype));
      out_indices_.emplace_back(context,
                                info.dense ? 0 : static_cast<std::size_t>(info.capacity) * columns_ * 4);
      out_counts_.emplace_back(context, 4);
      bindings_.push_back({out_features_.back().data(),
                           info.dense ? nullptr : out_indices_.back().as<std::int32_t>(),
                           info.dense ? nullptr : out_counts_.back().as<std::int32_t>()});
    }
    capture();
  }
  ~CapturedEngine() {
    cudaGraphExecDestroy(executable_);
    cudaGraphDestroy(graph_);
  }
  CapturedEngine(const CapturedEngine&) = delete;
  CapturedEngine& operator=(const CapturedEngine&) = delete;

  RunResult run(const Frame& frame) {
    const auto n = static_cast<std::size_t>(frame.num_voxels);
    const std::vector<unsigned char> garbage(std::max(indices_.bytes(), features_.bytes()), 0x7F);
    indices_.upload(context_, garbage.data(), indices_.bytes());
    features_.upload(context_, garbage.data(), features_.bytes());
    indices_.upload(context_, frame.indices.data(), n * columns_ * 4);
    features_.upload(context_, frame.features.data(), n * channels_ * 4);
    count_.upload(context_, &frame.num_voxels, 4);
    RunResult result;
    result.outputs.resize(bindings_.size());
    for (std::size_t i = 0; i < bindings_.size(); ++i) {
      result.outputs[i].features.assign(out_features_[i].bytes(), static_cast<std::byte>(kSentinel));
      result.outputs[i].indices.assign(out_indices_[i].bytes() / 4, -77);
      out_features_[i].upload(context_, result.outputs[i].features.data(), out_features_[i].bytes());
      out_indices_[i].upload(context_, result.outputs[i].indices.data(), out_indices_[i].bytes());
    }
    EXPECT_EQ(cudaGraphLaunch(executable_, static_cast<cudaStream_t>(context_.stream())), cudaSuccess);
    const Status done = context_.synchronize();
    EXPECT_TRUE(done.ok()) << to_string(done);
    for (std::size_t i = 0; i < bindings_.size(); ++i) {
      out_features_[i].download(context_, result.outputs[i].features.data(), out_features_[i].bytes());
      out_indices_[i].download(context_, result.outputs[i].indices.data(), out_indices_[i].bytes());
      if (bindings_[i].num_voxels != nullptr)
        out_counts_[i].download(context_, &result.outputs[i].num_voxels, 4);
    }
    result.status = engine_->status(context_, workspace());
    return result;
  }

  [[nodiscard]] Workspace workspace() const { return {workspace_.data(), workspace_.bytes()}; }
  [[nodiscard]] Buffer& memory() { return workspace_; }
  [[nodiscard]] const Engine& engine() const { return *engine_; }

 private:
  void capture() {
    SparseTensorView view;
    view.indices = indices_.as<std::int32_t>();
    view.spatial_shape = engine_->input_shape();
    view.batch_size = engine_->input_batch_size();
    view.num_voxels = view.capacity = engine_->input_capacity();
    view.device_num_voxels = count_.as<std::int32_t>();
    view.features = {features_.data(), DType::kFloat32, view.capacity, engine_->input_channels(),
                     engine_->input_channels()};
    auto stream = static_cast<cudaStream_t>(context_.stream());
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal) == cudaSuccess, ErrorCode::kDevice,
          "capture does not begin");
    const Status status = engine_->enqueue(context_, view, bindings_, workspace());
    check(cudaStreamEndCapture(stream, &graph_) == cudaSuccess, ErrorCode::kDevice, "capture does not end");
    check(status, "enqueue");
    check(cudaGraphInstantiate(&executable_, graph_, 0) == cudaSuccess, ErrorCode::kDevice, "no instance");
  }

  Context& context_;
  std::shared_ptr<const Engine> engine_;
  Buffer workspace_;
  Buffer indices_;
  Buffer features_;
  Buffer count_;
  std::vector<Buffer> out_features_;
  std::vector<Buffer> out_indices_;
  std::vector<Buffer> out_counts_;
  std::vector<OutputBinding> bindings_;
  std::size_t columns_ = 0;
  std::size_t channels_ = 0;
  cudaGraph_t graph_ = nullptr;
  cudaGraphExec_t executable_ = nullptr;
};

void expect_same(const RunResult& got, const RunResult& want, const std::string& what) {
  EXPECT_TRUE(got.status.ok()) << what << ": " << to_string(got.status);
  ASSERT_EQ(got.outputs.size(), want.outputs.size());
  for (std::size_t i = 0; i < got.outputs.size(); ++i) {
    EXPECT_EQ(got.outputs[i].num_voxels, want.outputs[i].num_voxels) << what << " output " << i;
    EXPECT_TRUE(got.outputs[i].features == want.outputs[i].features) << what << " features of output " << i;
    EXPECT_TRUE(got.outputs[i].indices == want.outputs[i].indices) << what << " indices of output " << i;
  }
}

class EngineCuda : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0) GTEST_SKIP() << "no CUDA device";
    device_ = std::make_unique<Context>(ContextOptions{.device = Device::cuda()});
  }
  Context cpu_{{.threads = 2}};
  std::unique_ptr<Context> device_;
};

/// In shards, for sanitizers side by side.
class RandomNetworksCuda : public EngineCuda, public ::testing::WithParamInterface<std::uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Shards, RandomNetworksCuda, ::testing::Range(0U, 8U));

TEST_P(RandomNetworksCuda, GiveTheCpuBytes) {
  constexpr std::uint32_t kNetworks = 50;
  for (std::uint32_t i = 0; i < kNetworks && !HasFailure(); ++i) {
    const std::uint32_t seed = GetParam() * kNetworks + i;
    SCOPED_TRACE("seed " + std::to_string(seed));
    const TestNetwork t = random_network(seed);
    const ScaleTable scales = seeded_scales(t.net, seed);
    for (const Precision precision : {Precision::kInt8, Precision::kFloat32}) {
      for (const bool keep : {false, true}) {
        const EngineOptions options{.precision = precision, .keep_all_values = keep};
        EngineRunner reference(cpu_, EngineRunner::build(cpu_, t.net, scales, options));
        CapturedEngine engine(*device_, EngineRunner::build(*device_, t.net, scales, options));
        const Frame frame =
            random_frame(t.shape, t.batch_size, t.channels, 5 + static_cast<std::int32_t>(seed % 60), seed);
        expect_same(engine.run(frame), reference.run(frame), keep ? "apart" : "shared");
      }
    }
  }
}

/// Bytes of the device that no engine prepared.
void fill(Context& context, Buffer& memory, unsigned char content) {
  const std::vector<unsigned char> bytes(memory.bytes(), content);
  memory.upload(context, bytes.data(), bytes.size());
}

TEST_F(EngineCuda, AWorkspaceThatIsNotPreparedGivesEmptyFramesAndSaysSo) {
  const TestNetwork a = mixed_layers();
  const TestNetwork b = residual_unet();
  const Frame frame = random_frame(b.shape, b.batch_size, b.channels, 200, 5);
  const EngineOptions options{.precision = Precision::kFloat32};
  const auto other = EngineRunner::build(*device_, a.net, {}, options);
  EngineRunner reference(cpu_, EngineRunner::build(cpu_, b.net, {}, options));
  const RunResult want = reference.run(frame);
  CapturedEngine engine(*device_, EngineRunner::build(*device_, b.net, {}, options),
                        other->workspace_bytes());
  const Workspace workspace = engine.workspace();
  const auto expect_refused = [&](const std::string& what) {
    for (int frames = 0; frames < 2; ++frames) {  // and the next one, on what the first one left
      const RunResult got = engine.run(frame);
      EXPECT_EQ(got.status.code, ErrorCode::kInvalidArgument) << what << ": " << to_string(got.status);
      EXPECT_EQ(got.outputs[0].num_voxels, 0) << what;
    }
    ASSERT_TRUE(engine.engine().prepare(*device_, workspace).ok());
    expect_same(engine.run(frame), want, what + ", prepared again");
  };
  expect_same(engine.run(frame), want, "prepared");
  for (const unsigned char content : {0x00, 0xA5, 0xFF, 0x01}) {
    fill(*device_, engine.memory(), content);
    expect_refused("bytes " + std::to_string(content));
  }
  ASSERT_TRUE(other->prepare(*device_, workspace).ok());
  expect_refused("another engine's");
}

TEST_F(EngineCuda, OneGraphGivesTheCpuBytesForAnyCount) {
  for (const Precision precision : {Precision::kInt8, Precision::kFloat32}) {
    for (TestNetwork& t : all_test_networks()) {
      const Frame calibration = random_frame(t.shape, t.batch_size, t.channels, 400, 99);
      const ScaleTable scales = calibrate_min_max(cpu_, t.net, {&calibration, 1});
      const EngineOptions options{.precision = precision};
      EngineRunner reference(cpu_, EngineRunner::build(cpu_, t.net, scales, options));
      CapturedEngine engine(*device_, EngineRunner::build(*device_, t.net, scales, options));
      for (const std::int32_t n : {0, 1, 130, 400, 7, 0, 333, 1}) {
        const Frame frame =
            random_frame(t.shape, t.batch_size, t.channels, n, 20 + static_cast<std::uint32_t>(n));
        expect_same(engine.run(frame), reference.run(frame),
                    std::string(t.name) + " precision " + std::to_string(static_cast<int>(precision)) +
                        " n " + std::to_string(n));
      }
    }
  }
}

// The engine of a context works on that context's device whichever device is current, and leaves it current.
TEST_F(EngineCuda, OtherDeviceGivesTheCpuBytes) {
  if (cuda::device_count() < 2) GTEST_SKIP() << "needs two CUDA devices";
  Context other({.device = Device::cuda(1)});
  ASSERT_EQ(cudaSetDevice(0), cudaSuccess);
  for (TestNetwork& t : all_test_networks()) {
    const Frame frame = random_frame(t.shape, t.batch_size, t.channels, 400, 99);
    const ScaleTable scales = calibrate_min_max(cpu_, t.net, {&frame, 1});
    EngineRunner reference(cpu_, EngineRunner::build(cpu_, t.net, scales));
    CapturedEngine engine(other, EngineRunner::build(other, t.net, scales));
    expect_same(engine.run(frame), reference.run(frame), t.name);
    int current = -1;
    EXPECT_EQ(cudaGetDevice(&current), cudaSuccess);
    EXPECT_EQ(current, 0);
  }
}

TEST_F(EngineCuda, TwoThreadsReplayOneEngine) {
  TestNetwork t = residual_unet();
  const Frame calibration = random_frame(t.shape, t.batch_size, t.channels, 400, 99);
  const ScaleTable scales = calibrate_min_max(cpu_, t.net, {&calibration, 1});
  EngineRunner reference(cpu_, EngineRunner::build(cpu_, t.net, scales));
  const auto engine = EngineRunner::build(*device_, t.net, scales);
  std::vector<Frame> frames;
  std::vector<RunResult> want;
  for (std::uint32_t i = 0; i < 8; ++i) {
    frames.push_back(
        random_frame(t.shape, t.batch_size, t.channels, 50 + 40 * static_cast<std::int32_t>(i), i));
    want.push_back(reference.run(frames.back()));
  }
  std::atomic<int> wrong{0};
  const auto work = [&](std::size_t first) {
    Context context({.device = Device::cuda()});
    CapturedEngine mine(context, engine);
    for (std::size_t i = 0; i < 40; ++i) {
      const std::size_t f = (first + i) % frames.size();
      const RunResult got = mine.run(frames[f]);
      for (std::size_t o = 0; o < got.outputs.size(); ++o) {
        if (got.outputs[o].features != want[f].outputs[o].features) ++wrong;
      }
    }
  };
  std::thread other(work, 3);
  work(0);
  other.join();
  EXPECT_EQ(wrong.load(), 0);
}

/// Refuses everything from the `limit`-th request on.
class LimitedAllocator final : public Allocator {
 public:
  explicit LimitedAllocator(int limit) : left_(limit) {}
  void* allocate(Device device, std::size_t bytes) noexcept override {
    return left_-- > 0 ? cuda::allocate(device.index, bytes) : nullptr;
  }
  void deallocate(Device device, void* pointer, std::size_t) noexcept override {
    cuda::deallocate(device.index, pointer);
  }

 private:
  int left_;
};

TEST_F(EngineCuda, LackOfMemoryIsAnErrorAndLeavesTheDeviceUsable) {
  TestNetwork t = residual_unet();
  const Frame calibration = random_frame(t.shape, t.batch_size, t.channels, 400, 99);
  const ScaleTable scales = calibrate_min_max(cpu_, t.net, {&calibration, 1});
  // Every allocation of a build is refused once, the first one first, until a build needs no more.
  int refused = 0;
  for (bool built = false; !built; ++refused) {
    ASSERT_LT(refused, 10'000);
    LimitedAllocator allocator(refused);
    Context context({.device = Device::cuda(), .allocator = &allocator});
    try {
      Engine::build(context, t.net, scales);
      built = true;
    } catch (const Error& e) {
      ASSERT_EQ(e.code(), ErrorCode::kOutOfMemory) << "allocation " << refused << ": " << e.what();
    }
  }
  EXPECT_GT(refused, 4);
  EXPECT_THROW(Buffer(*device_, std::size_t{1} << 46), Error);
  EXPECT_TRUE(device_->synchronize().ok());
  EXPECT_NO_THROW(EngineRunner::build(*device_, t.net, scales));
}

TEST_F(EngineCuda, CenterPointEqualsTheCpu) {
  const auto folder = test_data();
  if (folder.empty()) GTEST_SKIP() << "VOXGEMM_TEST_DATA is not set";
  Frame frame;
  frame.indices = read_array(folder / "nvidia_centerpoint/in_indices_bzyx.i32.tensor").as<std::int32_t>();
  frame.features = read_array(folder / "nvidia_centerpoint/in_features.f16.tensor").as<float>();
  frame.num_voxels = static_cast<std::int32_t>(frame.indices.size() / 4);
  const Network network = make_centerpoint_backbone({.capacity = 120000});
  const ScaleTable scales = calibrate_min_max(cpu_, network, {&frame, 1});
  const EngineOptions options{.output_dtype = DType::kInt8};
  EngineRunner reference(cpu_, EngineRunner::build(cpu_, network, scales, options));
  const auto engine = EngineRunner::build(*device_, network, scales, options);
  CapturedEngine captured(*device_, engine);
  for (int repeat = 0; repeat < 2; ++repeat) {
    expect_same(captured.run(frame), reference.run_unpadded(frame), "CenterPoint");
    Frame half = frame;
    half.num_voxels /= 2;
    expect_same(captured.run(half), reference.run_unpadded(half), "half of CenterPoint");
  }
}

}  // namespace
}  // namespace voxgemm::test
