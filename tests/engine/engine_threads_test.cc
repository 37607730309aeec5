// Proves that the output bytes depend on neither the number of threads nor the kernel row, and that two
// threads may run one engine at the same time.
#include <gtest/gtest.h>
#include <tbb/global_control.h>

#include <thread>

#include "tests/engine/engine_runner.h"
#include "tests/engine/test_networks.h"
#include "voxgemm/calibration.h"
#include "voxgemm/engine.h"
#include "voxgemm/implicit_gemm.h"
#include "voxgemm/profile.h"

namespace voxgemm::test {
namespace {

void expect_same(const RunResult& a, const RunResult& b, const std::string& what) {
  ASSERT_TRUE(a.status.ok()) << what << ": " << to_string(a.status);
  ASSERT_TRUE(b.status.ok()) << what << ": " << to_string(b.status);
  for (std::size_t i = 0; i < a.outputs.size(); ++i) {
    EXPECT_EQ(a.outputs[i].num_voxels, b.outputs[i].num_voxels) << what;
    EXPECT_TRUE(a.outputs[i].features == b.outputs[i].features) << what << " output " << i;
    EXPECT_TRUE(a.outputs[i].indices == b.outputs[i].indices) << what << " output " << i;
  }
}

TEST(EngineThreads, SameBytesForAnyNumberOfThreads) {
  const tbb::global_control real_workers(tbb::global_control::max_allowed_parallelism, 5);
  for (const Precision precision : {Precision::kInt8, Precision::kFloat32}) {
    for (TestNetwork& t : all_test_networks()) {
      Context one({.threads = 1});
      const Frame frame = random_frame(t.shape, t.batch_size, t.channels, 500, 3);
      const ScaleTable scales = calibrate_min_max(one, t.net, {&frame, 1});
      EngineOptions options;
      options.precision = precision;
      const RunResult want = EngineRunner(one, EngineRunner::build(one, t.net, scales, options)).run(frame);
      for (const std::int32_t threads : {2, 5}) {
        Context many({.threads = threads});
        EngineRunner runner(many, EngineRunner::build(many, t.net, scales, options));
        for (int repeat = 0; repeat < 3; ++repeat) {
          expect_same(want, runner.run(frame), std::string(t.name) + " threads " + std::to_string(threads));
        }
      }
    }
  }
}

TEST(EngineThreads, SameInt8BytesForEveryKernelRow) {
  TestNetwork t = residual_unet();
  Context best({.threads = 1});
  const Frame frame = random_frame(t.shape, t.batch_size, t.channels, 450, 4);
  const ScaleTable scales = calibrate_min_max(best, t.net, {&frame, 1});
  EngineOptions options;
  options.output_dtype = DType::kInt8;
  const RunResult want = EngineRunner(best, EngineRunner::build(best, t.net, scales, options)).run(frame);
  std::string ran;
  for (const std::string& name : implicit_gemm_kernel_names()) {
    Context forced({.threads = 1, .kernels = {.force = name}});
    try {
      EngineRunner runner(forced, EngineRunner::build(forced, t.net, scales, options));
      for (const StepInfo& step : runner.engine().steps()) {
        if (step.kv > 0 && step.kind != "pool") {
          EXPECT_EQ(step.kernel, name) << step.name;
        }
      }
      expect_same(want, runner.run(frame), name);
      ran += name + " ";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported) << name << ": " << error.what();
    }
  }
  EXPECT_NE(ran.find("scalar"), std::string::npos) << "ran: " << ran;
  RecordProperty("rows", ran);
}

TEST(EngineThreads, SameInt8BytesForEveryIsa) {
  TestNetwork t = mixed_layers();
  Context best({.threads = 1});
  const Frame frame = random_frame(t.shape, t.batch_size, t.channels, 450, 4);
  const ScaleTable scales = calibrate_min_max(best, t.net, {&frame, 1});
  const RunResult want = EngineRunner(best, EngineRunner::build(best, t.net, scales)).run(frame);
  for (const Isa isa : {Isa::kScalar, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Vnni, Isa::kAmxInt8}) {
    Context limited({.threads = 2, .kernels = {.max_isa = isa}});
    expect_same(want, EngineRunner(limited, EngineRunner::build(limited, t.net, scales)).run(frame),
                std::string(to_string(isa)));
  }
}

TEST(EngineThreads, SameBytesForEveryRowOrder) {
  TestNetwork t = residual_unet();
  Context context({.threads = 1});
  const Frame frame = random_frame(t.shape, t.batch_size, t.channels, 450, 4);
  const ScaleTable scales = calibrate_min_max(context, t.net, {&frame, 1});
  const RunResult want = EngineRunner(context, EngineRunner::build(context, t.net, scales)).run(frame);
  for (const RowOrder order : {RowOrder::kFullMask, RowOrder::kPatternKey}) {
    EngineOptions options;
    options.order = order;
    expect_same(want, EngineRunner(context, EngineRunner::build(context, t.net, scales, options)).run(frame),
                "order " + std::to_string(static_cast<int>(order)));
  }
}

class CountingListener : public StepListener {
 public:
  void step_begin(Context&, std::int32_t step) noexcept override { in_order_ &= step == ended_; }
  void step_end(Context&, std::int32_t step, std::int64_t) noexcept override {
    in_order_ &= step == ended_++;
  }
  [[nodiscard]] std::int32_t steps() const { return in_order_ ? ended_ : -1; }

 private:
  std::int32_t ended_ = 0;
  bool in_order_ = true;
};

TEST(EngineThreads, ObserverSeesEveryStepInOrder) {
  TestNetwork t = mixed_layers();
  Context context({.threads = 1});
  const Frame frame = random_frame(t.shape, t.batch_size, t.channels, 50, 4);
  EngineOptions options;
  options.precision = Precision::kFloat32;
  EngineRunner runner(context, EngineRunner::build(context, t.net, {}, options));
  std::vector<RunOutput> outputs = runner.fresh_outputs();
  CountingListener listener;
  ASSERT_TRUE(
      runner.engine()
          .enqueue(context, runner.view_of(frame), runner.bindings(outputs), runner.workspace(), &listener)
          .ok());
  EXPECT_EQ(listener.steps(), static_cast<std::int32_t>(runner.engine().steps().size()));
}

TEST(EngineThreads, TwoThreadsShareOneEngine) {
  TestNetwork t = residual_unet();
  Context context({.threads = 1});
  const Frame a = random_frame(t.shape, t.batch_size, t.channels, 300, 5);
  const Frame b = random_frame(t.shape, t.batch_size, t.channels, 550, 6);
  const ScaleTable scales = calibrate_min_max(context, t.net, {&a, 1});
  const auto engine = EngineRunner::build(context, t.net, scales);
  EngineRunner alone(context, engine);
  const RunResult want_a = alone.run(a);
  const RunResult want_b = alone.run(b);
  const auto work = [&](const Frame& frame, const RunResult& want) {
    Context own({.threads = 1});
    EngineRunner runner(own, engine);
    for (int i = 0; i < 20; ++i) expect_same(want, runner.run(frame), "shared");
  };
  std::thread first([&] { work(a, want_a); });
  std::thread second([&] { work(b, want_b); });
  first.join();
  second.join();
}

}  // namespace
}  // namespace voxgemm::test
