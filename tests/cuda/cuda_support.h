// Helpers of tests that compare the CUDA path with the CPU path.
#pragma once

#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "core/cuda_device.h"
#include "voxgemm/context.h"
#include "voxgemm/types.h"

namespace voxgemm::test {

/// Skips every test of the suite on a machine without a usable GPU.
class CudaTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (cuda::device_count() == 0) GTEST_SKIP() << "no usable CUDA device on this machine";
  }
};

inline Context cuda_context() { return Context(ContextOptions{.device = Device::cuda()}); }

/// Bytes on the device that hold a copy of `values`; at least one element is allocated.
template <typename T>
Buffer upload(Context& context, const std::vector<T>& values, std::size_t capacity = 0) {
  const std::size_t count = values.size() > capacity ? values.size() : capacity;
  Buffer buffer(context, (count == 0 ? 1 : count) * sizeof(T));
  if (!values.empty()) buffer.upload(context, values.data(), values.size() * sizeof(T));
  return buffer;
}

template <typename T>
std::vector<T> download(Context& context, const T* device, std::size_t count) {
  std::vector<T> values(count);
  if (count > 0) cuda::copy_to_host(values.data(), device, count * sizeof(T), context.stream());
  return values;
}

/// Element `i` of a float32 or float16 array of bytes.
inline void put_float(DType dtype, float value, std::vector<std::byte>& bytes, std::size_t i) {
  if (dtype == DType::kFloat16) {
    const Half half = to_half(value);
    std::memcpy(bytes.data() + i * sizeof half, &half, sizeof half);
  } else {
    std::memcpy(bytes.data() + i * sizeof value, &value, sizeof value);
  }
}

/// What a function enqueues, captured once: capture fails on any synchronisation or allocation.
class CapturedGraph {
 public:
  template <typename Fn>
  CapturedGraph(Context& context, Fn&& enqueue) : stream_(static_cast<cudaStream_t>(context.stream())) {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeGlobal), cudaSuccess);
    enqueue();
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
    EXPECT_EQ(cudaGraphInstantiate(&exec_, graph, 0), cudaSuccess);
    if (graph != nullptr) cudaGraphDestroy(graph);
  }
  ~CapturedGraph() {
    if (exec_ != nullptr) cudaGraphExecDestroy(exec_);
  }
  CapturedGraph(const CapturedGraph&) = delete;
  CapturedGraph& operator=(const CapturedGraph&) = delete;

  void replay() {
    ASSERT_NE(exec_, nullptr);
    ASSERT_EQ(cudaGraphLaunch(exec_, stream_), cudaSuccess);
    ASSERT_EQ(cudaStreamSynchronize(stream_), cudaSuccess);
  }

 private:
  cudaStream_t stream_ = nullptr;
  cudaGraphExec_t exec_ = nullptr;
};

}  // namespace voxgemm::test
