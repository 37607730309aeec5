#include "core/cuda_graph.h"

#ifdef VOXGEMM_WITH_CUDA

#include <cuda_runtime_api.h>

#include "core/check.h"
#include "core/cuda_device.h"

namespace voxgemm::cuda {
namespace {

std::int32_t code(cudaError_t error) { return static_cast<std::int32_t>(error); }
cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }
cudaEvent_t event_of(void* event) { return static_cast<cudaEvent_t>(event); }

}  // namespace

std::int32_t begin_capture(void* stream) noexcept {
  return code(cudaStreamBeginCapture(stream_of(stream), cudaStreamCaptureModeThreadLocal));
}

std::int32_t end_capture(void* stream, void** graph) noexcept {
  cudaGraph_t recorded = nullptr;
  const cudaError_t error = cudaStreamEndCapture(stream_of(stream), &recorded);
  if (error != cudaSuccess) cudaGetLastError();  // a spoilt recording is no fault of the calls that follow
  *graph = recorded;
  return code(error);
}

std::int32_t instantiate_graph(void* graph, void* stream, void** executable, std::size_t* nodes) noexcept {
  auto recorded = static_cast<cudaGraph_t>(graph);
  cudaGraphExec_t ready = nullptr;
  cudaError_t error = cudaGraphGetNodes(recorded, nullptr, nodes);
  if (error == cudaSuccess) error = cudaGraphInstantiate(&ready, recorded, 0);
  if (error == cudaSuccess) error = cudaGraphUpload(ready, stream_of(stream));
  *executable = ready;
  return code(error);
}

std::int32_t launch_graph(void* executable, void* stream) noexcept {
  return code(cudaGraphLaunch(static_cast<cudaGraphExec_t>(executable), stream_of(stream)));
}

void destroy_graph(void* graph) noexcept {
  if (graph != nullptr) cudaGraphDestroy(static_cast<cudaGraph_t>(graph));
}

void destroy_executable(void* executable) noexcept {
  if (executable != nullptr) cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(executable));
}

void* create_timed_event(std::int32_t device_index) {
  int before = 0;
  cudaGetDevice(&before);
  cudaSetDevice(device_index);
  cudaEvent_t event = nullptr;
  const cudaError_t error = cudaEventCreate(&event);
  cudaSetDevice(before);
  check(error == cudaSuccess, ErrorCode::kDevice, "cudaEventCreate: {}", error_text(code(error)));
  return event;
}

std::int32_t record_timed_event(void* event, void* stream) noexcept {
  cudaStreamCaptureStatus status = cudaStreamCaptureStatusNone;
  if (const cudaError_t error = cudaStreamIsCapturing(stream_of(stream), &status); error != cudaSuccess)
    return code(error);
  const unsigned flags =
      status == cudaStreamCaptureStatusActive ? cudaEventRecordExternal : cudaEventRecordDefault;
  return code(cudaEventRecordWithFlags(event_of(event), stream_of(stream), flags));
}

std::int32_t elapsed_microseconds(void* from, void* to, double* microseconds) noexcept {
  float milliseconds = 0.0F;
  const cudaError_t error = cudaEventElapsedTime(&milliseconds, event_of(from), event_of(to));
  if (error != cudaSuccess) cudaGetLastError();
  *microseconds = static_cast<double>(milliseconds) * 1e3;
  return code(error);
}

}  // namespace voxgemm::cuda

#else  // built without CUDA

namespace voxgemm::cuda {

std::int32_t begin_capture(void* /*stream*/) noexcept { return 1; }
std::int32_t end_capture(void* /*stream*/, void** /*graph*/) noexcept { return 1; }
std::int32_t instantiate_graph(void*, void*, void**, std::size_t*) noexcept { return 1; }
std::int32_t launch_graph(void*, void*) noexcept { return 1; }
void destroy_graph(void* /*graph*/) noexcept {}
void destroy_executable(void* /*executable*/) noexcept {}
void* create_timed_event(std::int32_t /*device_index*/) { return nullptr; }
std::int32_t record_timed_event(void*, void*) noexcept { return 1; }
std::int32_t elapsed_microseconds(void*, void*, double*) noexcept { return 1; }

}  // namespace voxgemm::cuda

#endif
